// plan.m — the double's devices and compute plans.
#include "ivars.h"
#import <CoreML/CoreML.h>

#include <stdio.h>

#include "backend.h"
#include "impl.h"

// ---- devices and plans

@implementation MLCPUComputeDevice
@end
@implementation MLGPUComputeDevice
@end
@implementation MLNeuralEngineComputeDevice
- (NSInteger)totalCoreCount {
    return 16;
}
@end

NSArray *MLAllComputeDevices(void) {
    NSMutableArray *all = [NSMutableArray array];
    [all addObject:[[[MLCPUComputeDevice alloc] init] autorelease]];
    [all addObject:[[[MLGPUComputeDevice alloc] init] autorelease]];
    if (!shows(DOUBLE_has_no_ane))
        [all addObject:[[[MLNeuralEngineComputeDevice alloc] init] autorelease]];
    return all;
}

@implementation MLComputePlanCost
- (void)dealloc {
    died();
    [super dealloc];
}
- (double)weight {
    return weight;
}
@end

@implementation MLComputePlanDeviceUsage
- (void)dealloc {
    [supported release];
    [preferred release];
    died();
    [super dealloc];
}
- (NSArray *)supportedComputeDevices {
    return supported;
}
- (id<MLComputeDeviceProtocol>)preferredComputeDevice {
    return preferred;
}
@end

@implementation MLModelStructureProgramNamedValueType
- (void)dealloc {
    [name release];
    died();
    [super dealloc];
}
- (NSString *)name {
    return name;
}
@end
@implementation MLModelStructureProgramOperation
- (void)dealloc {
    [operatorName release];
    [outputs release];
    died();
    [super dealloc];
}
- (NSString *)operatorName {
    return operatorName;
}
- (NSArray *)outputs {
    return outputs;
}
- (void)readOp:(size_t)i of:(Backend *)backend {
    char op[64], output[128];
    bool is_constant;
    backend_op(backend, i, op, output, &is_constant);
    MLModelStructureProgramNamedValueType *first =
        [[MLModelStructureProgramNamedValueType alloc] init];
    born();
    first->name = [[NSString stringWithUTF8String:output] retain];
    operatorName = [[NSString stringWithUTF8String:op] retain];
    outputs = [[NSArray arrayWithObject:first] retain];
    [first release];
}
@end
@implementation MLModelStructureProgramBlock
- (void)dealloc {
    [operations release];
    died();
    [super dealloc];
}
- (NSArray *)operations {
    return operations;
}
- (void)readOps:(Backend *)backend {
    NSMutableArray *all = [[NSMutableArray alloc] init];
    for (size_t i = 0; i < backend_n_ops(backend); i++) {
        MLModelStructureProgramOperation *o = [[MLModelStructureProgramOperation alloc] init];
        born();
        [o readOp:i of:backend];
        [all addObject:o];
        [o release];
    }
    operations = all;
}
@end
@implementation MLModelStructureProgramFunction
- (void)dealloc {
    [block release];
    died();
    [super dealloc];
}
- (MLModelStructureProgramBlock *)block {
    return block;
}
- (void)readFunction:(Backend *)backend {
    block = [[MLModelStructureProgramBlock alloc] init];
    born();
    [block readOps:backend];
}
@end
@implementation MLModelStructureProgram
- (void)dealloc {
    [functions release];
    died();
    [super dealloc];
}
- (NSDictionary *)functions {
    return functions;
}
- (void)readPackage:(const char *)path {
    NSMutableDictionary *all = [[NSMutableDictionary alloc] init];
    char why[256], name[128];
    Backend *first = backend_open(path, NULL, why, sizeof why);
    for (size_t i = 0; first && backend_function_name(first, i, name); i++) {
        Backend *backend = backend_open(path, name, why, sizeof why);
        MLModelStructureProgramFunction *f = [[MLModelStructureProgramFunction alloc] init];
        born();
        if (backend) [f readFunction:backend];
        [all setObject:f forKey:[NSString stringWithUTF8String:name]];
        [f release];
        backend_close(backend);
    }
    backend_close(first);
    functions = all;
}
@end
@implementation MLModelStructure
- (void)dealloc {
    [program release];
    died();
    [super dealloc];
}
- (MLModelStructureProgram *)program {
    return program;
}
- (void)readPackage:(const char *)path {
    program = [[MLModelStructureProgram alloc] init];
    born();
    [program readPackage:path];
}
@end

@implementation MLComputePlan
+ (void)loadContentsOfURL:(NSURL *)url
            configuration:(MLModelConfiguration *)configuration
        completionHandler:(void (^)(MLComputePlan *, NSError *))handler {
    char path[4096];
    if (shows(DOUBLE_plan_fails)) {
        handler(nil, [NSError errorWithDomain:@"com.apple.CoreML" code:7 userInfo:nil]);
        return;
    }
    snprintf(path, sizeof path, "%s/package", [[url path] UTF8String]);
    MLComputePlan *plan = [[[MLComputePlan alloc] init] autorelease];
    born();
    plan->isCPUOnly = [configuration computeUnits] == MLComputeUnitsCPUOnly;
    plan->structure = [[MLModelStructure alloc] init];
    born();
    [plan->structure readPackage:path];
    handler(plan, nil);
}
- (void)dealloc {
    [structure release];
    died();
    [super dealloc];
}
- (MLModelStructure *)modelStructure {
    return structure;
}
- (MLComputePlanDeviceUsage *)computeDeviceUsageForMLProgramOperation:
    (MLModelStructureProgramOperation *)operation {
    if ([[operation operatorName] hasPrefix:@"ios18.const"]) return nil;
    MLComputePlanDeviceUsage *u = [[[MLComputePlanDeviceUsage alloc] init] autorelease];
    born();
    NSMutableArray *devices = [[NSMutableArray alloc] init];
    id cpu = [[[MLCPUComputeDevice alloc] init] autorelease];
    id ane = [[[MLNeuralEngineComputeDevice alloc] init] autorelease];
    BOOL onCPU = isCPUOnly || shows(DOUBLE_plans_cpu) || shows(DOUBLE_has_no_ane);
    [devices addObject:cpu];
    if (!isCPUOnly) [devices addObject:ane];
    u->supported = devices;
    id gpu = [[[MLGPUComputeDevice alloc] init] autorelease];
    u->preferred = [(onCPU ? cpu : shows(DOUBLE_plans_gpu) ? gpu : ane) retain];
    return u;
}
- (MLComputePlanCost *)estimatedCostOfMLProgramOperation:
    (MLModelStructureProgramOperation *)operation {
    if ([[operation operatorName] hasPrefix:@"ios18.const"]) return nil;
    MLComputePlanCost *c = [[[MLComputePlanCost alloc] init] autorelease];
    born();
    c->weight = 0.01;
    return c;
}
@end
