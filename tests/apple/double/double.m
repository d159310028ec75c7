// double.m — the double's classes. What runs is the package on disk, on lathe's CPU engine (backend.h).
#include "double.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ivars.h"
#import <CoreML/CoreML.h>

#include "backend.h"
#include "impl.h"

// ---- faults and counts

static struct {
    long from[DOUBLE_FAULT_COUNT], seen[DOUBLE_FAULT_COUNT];
    bool is_read;
} faults;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static long n_alive;

static const char *const names[DOUBLE_FAULT_COUNT] = {
#define FAULT(name, doc, source) #name,
#include "faults.def"
#undef FAULT
};

void double_set(DoubleFault fault, long from) {
    faults.from[fault] = from;
    faults.seen[fault] = 0;
    faults.is_read = true;
}

// LATHE_DOUBLE_COUNT=FILE: says there how many objects live when the program ends.
static void drop_held(void);

static void count_at_exit(void) {
    drop_held();
    FILE *f = fopen(getenv("LATHE_DOUBLE_COUNT"), "a");
    if (!f) return;
    fprintf(f, "%ld\n", double_n_alive());
    fclose(f);
}

__attribute__((constructor)) static void begin(void) {
    if (getenv("LATHE_DOUBLE_COUNT")) atexit(count_at_exit);
}

void double_clear(void) {
    double_let_go();
    memset(&faults, 0, sizeof faults);
    faults.is_read = true;
}

long double_n_alive(void) {
    return __atomic_load_n(&n_alive, __ATOMIC_SEQ_CST);
}

static void read_environment(void) {
    const char *at = getenv("LATHE_DOUBLE");
    faults.is_read = true;
    while (at && *at) {
        size_t n = strcspn(at, ",="), i = 0;
        while (i < DOUBLE_FAULT_COUNT && !(strlen(names[i]) == n && memcmp(names[i], at, n) == 0))
            i++;
        if (i == DOUBLE_FAULT_COUNT) {
            fprintf(stderr, "double: no fault '%.*s'\n", (int)n, at);
            abort();
        }
        at += n;
        faults.from[i] = *at == '=' ? strtol(at + 1, (char **)(uintptr_t)&at, 10) : 1;
        at += *at == ',';
    }
}

// Counts a call; whether the fault shows in it.
bool double_shows(DoubleFault fault) {
    pthread_mutex_lock(&guard);
    if (!faults.is_read) read_environment();
    bool yes = faults.from[fault] && ++faults.seen[fault] >= faults.from[fault];
    pthread_mutex_unlock(&guard);
    return yes;
}

void double_born(void) {
    __atomic_add_fetch(&n_alive, 1, __ATOMIC_SEQ_CST);
}

void double_died(void) {
    __atomic_sub_fetch(&n_alive, 1, __ATOMIC_SEQ_CST);
}

static NSError *error_of(const char *text, long code) {
    return [NSError
        errorWithDomain:@"com.apple.CoreML"
                   code:code
               userInfo:[NSDictionary dictionaryWithObject:[NSString stringWithUTF8String:text]
                                                    forKey:NSLocalizedDescriptionKey]];
}

static id refuse(NSError **error, const char *text, long code) {
    if (error) *error = error_of(text, code);
    return nil;
}

static NSNumber *number(size_t n) {
    return [NSNumber numberWithUnsignedLong:n];
}

// ---- arrays

static size_t element_bytes(MLMultiArrayDataType type) {
    return type == MLMultiArrayDataTypeFloat16 ? 2 : 4;
}

@interface MLMultiArray (Double)
- (instancetype)initOwnedWithShape:(NSArray *)s
                          dataType:(MLMultiArrayDataType)type
                            padded:(BOOL)isPadded;
- (void *)bytes;
@end

@implementation MLMultiArray
- (instancetype)initWithDataPointer:(void *)pointer
                              shape:(NSArray *)s
                           dataType:(MLMultiArrayDataType)type
                            strides:(NSArray *)st
                        deallocator:(void (^)(void *))deallocator
                              error:(NSError **)error {
    (void)error;
    self = [super init];
    born();
    if (deallocator) given_back = Block_copy(deallocator);
    data = pointer;
    shape = [s retain];
    strides = [st retain];
    dataType = type;
    n_bytes = element_bytes(type);
    for (NSNumber *n in s) n_bytes *= [n unsignedLongValue];
    return self;
}
- (instancetype)initOwnedWithShape:(NSArray *)s
                          dataType:(MLMultiArrayDataType)type
                            padded:(BOOL)isPadded {
    self = [super init];
    born();
    NSMutableArray *st = [NSMutableArray array];
    size_t stride = 1;
    for (NSUInteger i = [s count]; i-- > 0;) {
        [st insertObject:number(stride) atIndex:0];
        size_t dim = [[s objectAtIndex:i] unsignedLongValue];
        if (isPadded && i + 1 == [s count]) dim = (dim + 31) / 32 * 32;
        stride *= dim;
    }
    n_bytes = stride * element_bytes(type);
    data = calloc(1, n_bytes);
    owns_data = YES;
    shape = [s retain];
    strides = [st retain];
    dataType = type;
    return self;
}
- (void)dealloc {
    if (owns_data) free(data);
    if (given_back) {
        given_back(data);
        Block_release(given_back);
    }
    [shape release];
    [strides release];
    died();
    [super dealloc];
}
- (void *)bytes {
    return data;
}
- (void)getBytesWithHandler:(void(NS_NOESCAPE ^)(const void *, NSInteger))handler {
    handler(data, (NSInteger)n_bytes);
}
- (void)getMutableBytesWithHandler:(void(NS_NOESCAPE ^)(void *, NSInteger, NSArray *))handler {
    handler(data, (NSInteger)(shows(DOUBLE_gives_short_arrays) ? n_bytes / 2 : n_bytes), strides);
}
- (MLMultiArrayDataType)dataType {
    return dataType;
}
- (NSArray *)shape {
    return shape;
}
- (NSArray *)strides {
    return strides;
}
- (NSInteger)count {
    size_t n = 1;
    for (NSNumber *d in shape) n *= [d unsignedLongValue];
    return (NSInteger)n;
}
@end

// Between packed memory and an array, element by element.
static void spread(MLMultiArray *array, const uint8_t *packed) {
    size_t element = element_bytes([array dataType]), n = (size_t)[array count];
    for (size_t k = 0; k < n; k++) {
        size_t rest = k, at = 0;
        for (NSUInteger i = [[array shape] count]; i-- > 0;) {
            size_t dim = [[[array shape] objectAtIndex:i] unsignedLongValue];
            at += rest % dim * [[[array strides] objectAtIndex:i] unsignedLongValue];
            rest /= dim;
        }
        memcpy((uint8_t *)[array bytes] + at * element, packed + k * element, element);
    }
}

@implementation MLFeatureValue
+ (instancetype)featureValueWithMultiArray:(MLMultiArray *)value {
    MLFeatureValue *v = [[MLFeatureValue alloc] init];
    born();
    v->array = [value retain];
    return [v autorelease];
}
- (void)dealloc {
    [array release];
    died();
    [super dealloc];
}
- (MLMultiArray *)multiArrayValue {
    return array;
}
@end

@implementation MLDictionaryFeatureProvider
- (instancetype)initWithDictionary:(NSDictionary *)dictionary error:(NSError **)error {
    (void)error;
    self = [super init];
    born();
    values = [dictionary copy];
    return self;
}
- (void)dealloc {
    [values release];
    died();
    [super dealloc];
}
- (NSSet *)featureNames {
    return [NSSet setWithArray:[values allKeys]];
}
- (MLFeatureValue *)featureValueForName:(NSString *)name {
    return [values objectForKey:name];
}
@end

// ---- descriptions

@implementation MLMultiArrayConstraint
- (void)dealloc {
    [shape release];
    died();
    [super dealloc];
}
- (NSArray *)shape {
    return shape;
}
- (MLMultiArrayDataType)dataType {
    return dataType;
}
@end

@implementation MLStateConstraint
- (void)dealloc {
    [bufferShape release];
    died();
    [super dealloc];
}
- (NSArray *)bufferShape {
    return bufferShape;
}
- (MLMultiArrayDataType)dataType {
    return dataType;
}
@end

static MLMultiArrayDataType type_of(const BackendPort *p) {
    return p->kind == 0   ? MLMultiArrayDataTypeFloat16
           : p->kind == 1 ? MLMultiArrayDataTypeFloat32
                          : MLMultiArrayDataTypeInt32;
}

static NSArray *shape_of(const BackendPort *p) {
    NSMutableArray *s = [NSMutableArray array];
    for (size_t i = 0; i < p->n_dims; i++) [s addObject:number(p->dims[i])];
    return s;
}

@interface MLFeatureDescription (Double)
+ (MLFeatureDescription *)describe:(const BackendPort *)port isState:(BOOL)isState;
@end
@interface MLMultiArrayConstraint (Double)
+ (MLMultiArrayConstraint *)of:(const BackendPort *)port;
@end
@interface MLStateConstraint (Double)
+ (MLStateConstraint *)of:(const BackendPort *)port;
@end

@implementation MLMultiArrayConstraint (Double)
+ (MLMultiArrayConstraint *)of:(const BackendPort *)port {
    MLMultiArrayConstraint *c = [[MLMultiArrayConstraint alloc] init];
    born();
    c->shape = [shape_of(port) retain];
    c->dataType =
        shows(DOUBLE_describes_doubles) ? (MLMultiArrayDataType)(0x10000 | 64) : type_of(port);
    return c;
}
@end
@implementation MLStateConstraint (Double)
+ (MLStateConstraint *)of:(const BackendPort *)port {
    MLStateConstraint *c = [[MLStateConstraint alloc] init];
    born();
    c->bufferShape = [shape_of(port) retain];
    c->dataType = type_of(port);
    return c;
}
@end

@implementation MLFeatureDescription
+ (MLFeatureDescription *)describe:(const BackendPort *)port isState:(BOOL)isState {
    MLFeatureDescription *d = [[MLFeatureDescription alloc] init];
    born();
    d->name = [[NSString stringWithUTF8String:port->name] retain];
    if (isState)
        d->stateConstraint = [MLStateConstraint of:port];
    else
        d->multiArrayConstraint = [MLMultiArrayConstraint of:port];
    return [d autorelease];
}
- (void)dealloc {
    [name release];
    [multiArrayConstraint release];
    [stateConstraint release];
    died();
    [super dealloc];
}
- (NSString *)name {
    return name;
}
- (MLMultiArrayConstraint *)multiArrayConstraint {
    return multiArrayConstraint;
}
- (MLStateConstraint *)stateConstraint {
    return stateConstraint;
}
@end

@implementation MLModelDescription
- (void)dealloc {
    [inputs release];
    [outputs release];
    [states release];
    died();
    [super dealloc];
}
- (NSDictionary *)inputDescriptionsByName {
    return inputs;
}
- (NSDictionary *)outputDescriptionsByName {
    return outputs;
}
- (NSDictionary *)stateDescriptionsByName {
    return states;
}
- (void)readPorts:(Backend *)backend {
    NSMutableDictionary *all[3];
    for (int role = 0; role < 3; role++) {
        all[role] = [[NSMutableDictionary alloc] init];
        for (size_t i = 0; i < backend_n_ports(backend, (BackendRole)role); i++) {
            BackendPort p;
            backend_port(backend, (BackendRole)role, i, &p);
            [all[role] setObject:[MLFeatureDescription describe:&p isState:role == BACKEND_STATE]
                          forKey:[NSString stringWithUTF8String:p.name]];
        }
    }
    inputs = all[BACKEND_INPUT];
    outputs = all[BACKEND_OUTPUT];
    states = all[BACKEND_STATE];
}
@end

@implementation MLModelConfiguration
- (instancetype)init {
    self = [super init];
    born();
    return self;
}
- (void)dealloc {
    [functionName release];
    died();
    [super dealloc];
}
- (MLComputeUnits)computeUnits {
    return computeUnits;
}
- (void)setComputeUnits:(MLComputeUnits)units {
    computeUnits = units;
}
- (NSString *)functionName {
    return functionName;
}
- (void)setFunctionName:(NSString *)text {
    [functionName autorelease];
    functionName = [text copy];
}
@end

@implementation MLPredictionOptions
- (instancetype)init {
    self = [super init];
    born();
    return self;
}
- (void)dealloc {
    [outputBackings release];
    died();
    [super dealloc];
}
- (NSDictionary *)outputBackings {
    return outputBackings;
}
- (void)setOutputBackings:(NSDictionary *)backings {
    [outputBackings autorelease];
    outputBackings = [backings copy];
}
@end

// ---- states

@implementation MLState
- (void)dealloc {
    backend_state_close(state);
    died();
    [super dealloc];
}
- (void)getMultiArrayForStateNamed:(NSString *)name
                           handler:(void(NS_NOESCAPE ^)(MLMultiArray *))handler {
    BackendPort port;
    if (!backend_state_port(state, [name UTF8String], &port))
        [NSException raise:NSInvalidArgumentException format:@"no state named %@", name];
    MLMultiArray *array = [[MLMultiArray alloc] initOwnedWithShape:shape_of(&port)
                                                          dataType:type_of(&port)
                                                            padded:NO];
    backend_state_get(state, [name UTF8String], [array bytes]);
    handler(array);
    backend_state_put(state, [name UTF8String], [array bytes]);
    [array release];
}
@end

// ---- inputs that the framework goes on to hold

enum { MOST_HELD = 64, HELD_FOR = 3 }; // predictions

typedef struct {
    NSObject<MLFeatureProvider> *features;
    uint64_t sum; // of their bytes when the prediction returned
} Held;

static Held held[MOST_HELD];
static size_t n_held;

static uint64_t sum_of(id<MLFeatureProvider> features) {
    uint64_t sum = 1469598103934665603u;
    for (NSString *name in [[(id)features featureNames] allObjects]) {
        MLMultiArray *array = [[features featureValueForName:name] multiArrayValue];
        const uint8_t *at = [array bytes];
        size_t n = (size_t)[array count] * element_bytes([array dataType]);
        uint64_t own = 1469598103934665603u;
        for (size_t i = 0; i < n; i++) own = (own ^ at[i]) * 1099511628211u;
        sum += own;
    }
    return sum;
}

static void let_go(void) {
    Held first = held[0];
    memmove(held, held + 1, --n_held * sizeof *held);
    if (sum_of(first.features) != first.sum) {
        fprintf(stderr, "double: inputs were written while the framework held them\n");
        abort();
    }
    [first.features release];
}

// At the end of a program, when GNUstep's collections answer no more.
static void drop_held(void) {
    while (n_held) [held[--n_held].features release];
}

static void hold(id<MLFeatureProvider> features) {
    if (n_held == HELD_FOR) let_go();
    held[n_held++] = (Held){[(NSObject *)features retain], sum_of(features)};
}

void double_let_go(void) {
    @autoreleasepool {
        while (n_held) let_go();
    }
}

// ---- models

static void eat_memory(void) {
    size_t n = 300u << 20;
    volatile char *at = malloc(n);
    for (size_t i = 0; i < n; i += 512) at[i] = 1;
    sleep(5);
    free((void *)(uintptr_t)at);
}

// The oldest compiled model in the folder of `compiled` that has its program: what a cache whose key
// names no weights would give.
static NSString *find_stale(NSString *compiled) {
    static NSString *const program = @"package/Data/com.apple.CoreML/model.mlmodel";
    NSFileManager *files = [NSFileManager defaultManager];
    NSString *folder = [compiled stringByDeletingLastPathComponent], *oldest = compiled;
    NSData *own = [NSData dataWithContentsOfFile:[compiled stringByAppendingPathComponent:program]];
    struct stat first, other;
    if (stat([compiled UTF8String], &first) != 0) return compiled;
    for (NSString *name in [files directoryContentsAtPath:folder]) {
        NSString *path = [folder stringByAppendingPathComponent:name];
        NSData *data =
            [NSData dataWithContentsOfFile:[path stringByAppendingPathComponent:program]];
        if (![data isEqualToData:own] || stat([path UTF8String], &other) != 0) continue;
        if (other.st_mtime >= first.st_mtime) continue;
        first = other;
        oldest = path;
    }
    return oldest;
}

@implementation MLModel
+ (void)compileModelAtURL:(NSURL *)url completionHandler:(void (^)(NSURL *, NSError *))handler {
    if (shows(DOUBLE_compile_crashes)) abort();
    while (shows(DOUBLE_compile_hangs)) sleep(1);
    bool fails = shows(DOUBLE_compile_fails);
    [url retain];
    void (^kept)(NSURL *, NSError *) = Block_copy(handler);
    pthread_t thread;
    struct Job {
        NSURL *url;
        void (^handler)(NSURL *, NSError *);
        bool fails;
    } *job = malloc(sizeof *job);
    *job = (struct Job){url, kept, fails};
    extern void *double_compile(void *);
    pthread_create(&thread, NULL, double_compile, job);
    pthread_detach(thread);
}
+ (instancetype)modelWithContentsOfURL:(NSURL *)url
                         configuration:(MLModelConfiguration *)c
                                 error:(NSError **)error {
    if (shows(DOUBLE_load_throws))
        [NSException raise:NSGenericException format:@"the double throws at load"];
    if (shows(DOUBLE_load_says_nothing)) return nil;
    if ([c functionName] && shows(DOUBLE_load_misleads))
        return refuse(error,
                      "`.functionName` property must be `nil` unless the model type is ML Program.",
                      0);
    if (shows(DOUBLE_load_says_macho))
        return refuse(error,
                      "ANE model load has failed for on-device compiled macho. Must re-compile the "
                      "E5 bundle.",
                      13);
    if (shows(DOUBLE_load_says_ane_failed))
        fprintf(stderr, "E5RT: MILCompilerForANE error: failed to compile ANE model using ANEF. "
                        "Error=_ANECompiler : ANECCompile() FAILED\n");
    char why[512] = "", path[4096];
    if ([c functionName] && shows(DOUBLE_lacks_function))
        return refuse(error, "the double finds no function of that name", 0);
    NSString *compiled = shows(DOUBLE_serves_stale) ? find_stale([url path]) : [url path];
    snprintf(path, sizeof path, "%s/package", [compiled UTF8String]);
    Backend *backend = backend_open(path, [[c functionName] UTF8String], why, sizeof why);
    if (!backend) return refuse(error, why, 0);
    MLModel *m = [[MLModel alloc] init];
    born();
    m->backend = backend;
    m->description = [[MLModelDescription alloc] init];
    born();
    [m->description readPorts:backend];
    return [m autorelease];
}
- (void)dealloc {
    backend_close(backend);
    [description release];
    died();
    [super dealloc];
}
- (MLModelDescription *)modelDescription {
    return description;
}
- (MLState *)newState {
    if (shows(DOUBLE_state_throws))
        [NSException raise:NSGenericException format:@"the double throws at a state"];
    if (shows(DOUBLE_makes_no_state)) return nil;
    MLState *s = [[MLState alloc] init];
    born();
    s->state = backend_state_open(backend);
    return s;
}
- (MLMultiArray *)arrayFor:(const BackendPort *)port options:(MLPredictionOptions *)options {
    bool declines = shows(DOUBLE_declines_backings), pads = shows(DOUBLE_pads_rows);
    MLMultiArray *backing =
        [[options outputBackings] objectForKey:[NSString stringWithUTF8String:port->name]];
    bool is_other = shows(DOUBLE_gives_other_type);
    if (backing && !declines && !pads && !is_other) return [backing retain];
    return [[MLMultiArray alloc]
        initOwnedWithShape:shape_of(port)
                  dataType:is_other ? MLMultiArrayDataTypeInt32 : type_of(port)
                    padded:pads];
}
// A slice is written into a buffer of zeros: what an earlier run wrote is lost.
- (void)loseWrites:(MLState *)state {
    if (state && backend_writes_slices(backend) && shows(DOUBLE_loses_writes))
        backend_state_zero(state->state);
}
- (id<MLFeatureProvider>)predictionFromFeatures:(id<MLFeatureProvider>)features
                                     usingState:(MLState *)state
                                        options:(MLPredictionOptions *)options
                                          error:(NSError **)error {
    char why[512] = "";
    if (shows(DOUBLE_first_run_dies)) kill(getpid(), SIGKILL);
    if (shows(DOUBLE_run_crashes)) kill(getpid(), SIGSEGV);
    if (shows(DOUBLE_run_eats_memory)) eat_memory();
    while (shows(DOUBLE_run_hangs)) sleep(1);
    if (shows(DOUBLE_run_fails))
        return refuse(error, "Failed to execute the program. error code: -14.", -14);
    // It counts by instance: a new one runs again.
    if (faults.from[DOUBLE_run_exhausts] && ++n_runs >= faults.from[DOUBLE_run_exhausts])
        [NSException raise:NSGenericException
                    format:@"Failed to allocate E5 buffer object ... IOSurface object. (3)"];
    for (size_t i = 0; i < backend_n_ports(backend, BACKEND_INPUT); i++) {
        BackendPort p;
        backend_port(backend, BACKEND_INPUT, i, &p);
        MLMultiArray *array =
            [[features featureValueForName:[NSString stringWithUTF8String:p.name]] multiArrayValue];
        if (!array || (size_t)[array count] != p.count || [array dataType] != type_of(&p))
            return refuse(error, "an input is missing or of another shape", 0);
        backend_put(backend, i, [array bytes]);
    }
    [self loseWrites:state];
    if (!backend_run(backend, state ? state->state : NULL, why, sizeof why))
        return refuse(error, why, 0);
    if (state && shows(DOUBLE_drops_writes)) backend_state_zero(state->state);
    if (state && shows(DOUBLE_rots)) backend_state_scale(state->state, 0.999f);
    NSMutableDictionary *results = [NSMutableDictionary dictionary];
    if (shows(DOUBLE_holds_inputs)) hold(features);
    bool lacks = shows(DOUBLE_lacks_output), nan = shows(DOUBLE_gives_nan),
         errs = shows(DOUBLE_errs), wrong = shows(DOUBLE_gives_wrong);
    for (size_t i = lacks; i < backend_n_ports(backend, BACKEND_OUTPUT); i++) {
        BackendPort p;
        backend_port(backend, BACKEND_OUTPUT, i, &p);
        MLMultiArray *array = [self arrayFor:&p options:options];
        size_t element = element_bytes([array dataType]); // not the port's, where a fault says so
        uint8_t *packed = calloc(p.count, element);
        if (errs) backend_output_scale(backend, i, 1.02f);
        backend_get(backend, i, packed);
        if (nan) memset(packed, 0xff, element);
        for (size_t k = 0; wrong && k < p.count; k += 2) memset(packed + k * element, 0, element);
        spread(array, packed);
        free(packed);
        [results setObject:[MLFeatureValue featureValueWithMultiArray:array]
                    forKey:[NSString stringWithUTF8String:p.name]];
        [array release];
    }
    return [[[MLDictionaryFeatureProvider alloc] initWithDictionary:results
                                                              error:NULL] autorelease];
}
- (id<MLFeatureProvider>)predictionFromFeatures:(id<MLFeatureProvider>)features
                                        options:(MLPredictionOptions *)options
                                          error:(NSError **)error {
    return [self predictionFromFeatures:features usingState:nil options:options error:error];
}
@end

// "Compiles": the package, copied into a folder of its own.
void *double_compile(void *context) {
    struct Job {
        NSURL *url;
        void (^handler)(NSURL *, NSError *);
        bool fails;
    } *job = context;
    @autoreleasepool {
        char folder[] = "/tmp/double-XXXXXX", command[9000], path[4096];
        NSURL *result = nil;
        NSError *error = nil;
        if (job->fails) {
            error = error_of("the double fails to compile", 1);
        } else if (mkdtemp(folder)) {
            snprintf(path, sizeof path, "%s", [[job->url path] UTF8String]);
            snprintf(command, sizeof command, "cp -R '%s' '%s/package'", path, folder);
            if (system(command) == 0)
                result = [NSURL fileURLWithPath:[NSString stringWithUTF8String:folder]];
            else
                error = error_of("the double cannot copy the package", 2);
        }
        job->handler(result, error);
        [job->url release];
        Block_release(job->handler);
    }
    free(job);
    return NULL;
}
