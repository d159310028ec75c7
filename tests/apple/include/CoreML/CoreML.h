// CoreML.h — own declarations of the part of Core ML that src/coreml/ calls, for machines without Apple's SDK.
//
// Written from Apple's public documentation. tests/oracle/test_apple_api.py compares every class, selector, number and
// kind of arguments with the bindings that the Rust project objc2 generates from the SDK. The double (tests/apple/double)
// implements the same declarations on GNUstep; its instance variables come in through the macros DOUBLE_*, which are
// empty otherwise.
#ifndef LATHE_TESTS_APPLE_COREML_H
#define LATHE_TESTS_APPLE_COREML_H

#import <Foundation/Foundation.h>

#ifndef DOUBLE_IVARS
#define DOUBLE_IVARS(Class)
#endif
#ifdef __APPLE__
#define SINCE(version) __attribute__((availability(macos, introduced = version)))
#else
#define SINCE(version)
#endif
#ifndef NS_NOESCAPE
#define NS_NOESCAPE __attribute__((noescape))
#endif

typedef NS_ENUM(NSInteger, MLComputeUnits) {
    MLComputeUnitsCPUOnly = 0,
    MLComputeUnitsCPUAndGPU = 1,
    MLComputeUnitsAll = 2,
    MLComputeUnitsCPUAndNeuralEngine = 3,
};

typedef NS_ENUM(NSInteger, MLMultiArrayDataType) {
    MLMultiArrayDataTypeFloat32 = 0x10000 | 32,
    MLMultiArrayDataTypeFloat16 = 0x10000 | 16,
    MLMultiArrayDataTypeInt32 = 0x20000 | 32,
};

@interface MLMultiArray : NSObject
DOUBLE_IVARS(MLMultiArray)
- (instancetype)initWithDataPointer:(void *)dataPointer
                              shape:(NSArray *)shape
                           dataType:(MLMultiArrayDataType)dataType
                            strides:(NSArray *)strides
                        deallocator:(void (^)(void *bytes))deallocator
                              error:(NSError **)error;
- (void)getBytesWithHandler:(void(NS_NOESCAPE ^)(const void *bytes, NSInteger size))handler
    SINCE(12.3);
- (void)getMutableBytesWithHandler:(void(NS_NOESCAPE ^)(void *bytes, NSInteger size,
                                                        NSArray *strides))handler SINCE(12.3);
@property(readonly, nonatomic) MLMultiArrayDataType dataType;
@property(readonly, nonatomic) NSArray *shape;
@property(readonly, nonatomic) NSArray *strides;
@property(readonly, nonatomic) NSInteger count;
@end

@interface MLFeatureValue : NSObject
DOUBLE_IVARS(MLFeatureValue)
+ (instancetype)featureValueWithMultiArray:(MLMultiArray *)value;
@property(readonly, nonatomic) MLMultiArray *multiArrayValue;
@end

@protocol MLFeatureProvider
@property(readonly, nonatomic) NSSet *featureNames;
- (MLFeatureValue *)featureValueForName:(NSString *)featureName;
@end

@interface MLDictionaryFeatureProvider : NSObject <MLFeatureProvider>
DOUBLE_IVARS(MLDictionaryFeatureProvider)
- (instancetype)initWithDictionary:(NSDictionary *)dictionary error:(NSError **)error;
@end

@interface MLMultiArrayConstraint : NSObject
DOUBLE_IVARS(MLMultiArrayConstraint)
@property(readonly, nonatomic) NSArray *shape;
@property(readonly, nonatomic) MLMultiArrayDataType dataType;
@end

SINCE(15.0) @interface MLStateConstraint : NSObject
DOUBLE_IVARS(MLStateConstraint)
@property(readonly, nonatomic) NSArray *bufferShape;
@property(readonly, nonatomic) MLMultiArrayDataType dataType;
@end

@interface MLFeatureDescription : NSObject
DOUBLE_IVARS(MLFeatureDescription)
@property(readonly, nonatomic) NSString *name;
@property(readonly, nonatomic) MLMultiArrayConstraint *multiArrayConstraint;
@property(readonly, nonatomic) MLStateConstraint *stateConstraint SINCE(15.0);
@end

@interface MLModelDescription : NSObject
DOUBLE_IVARS(MLModelDescription)
@property(readonly, nonatomic) NSDictionary *inputDescriptionsByName;
@property(readonly, nonatomic) NSDictionary *outputDescriptionsByName;
@property(readonly, nonatomic) NSDictionary *stateDescriptionsByName SINCE(15.0);
@end

@interface MLModelConfiguration : NSObject
DOUBLE_IVARS(MLModelConfiguration)
@property(nonatomic) MLComputeUnits computeUnits;
@property(copy, nonatomic) NSString *functionName SINCE(15.0);
@end

@interface MLPredictionOptions : NSObject
DOUBLE_IVARS(MLPredictionOptions)
@property(copy, nonatomic) NSDictionary *outputBackings SINCE(11.0);
@end

SINCE(15.0) @interface MLState : NSObject
DOUBLE_IVARS(MLState)
- (void)getMultiArrayForStateNamed:(NSString *)stateName
                           handler:(void(NS_NOESCAPE ^)(MLMultiArray *buffer))handler;
@end

@interface MLModel : NSObject
DOUBLE_IVARS(MLModel)
+ (instancetype)modelWithContentsOfURL:(NSURL *)url
                         configuration:(MLModelConfiguration *)configuration
                                 error:(NSError **)error;
+ (void)compileModelAtURL:(NSURL *)modelURL
        completionHandler:(void (^)(NSURL *compiledModelURL, NSError *error))handler SINCE(13.0);
- (id<MLFeatureProvider>)predictionFromFeatures:(id<MLFeatureProvider>)input
                                        options:(MLPredictionOptions *)options
                                          error:(NSError **)error;
- (MLState *)newState SINCE(15.0);
- (id<MLFeatureProvider>)predictionFromFeatures:(id<MLFeatureProvider>)inputFeatures
                                     usingState:(MLState *)state
                                        options:(MLPredictionOptions *)options
                                          error:(NSError **)error SINCE(15.0);
@property(readonly, nonatomic) MLModelDescription *modelDescription;
@end

@protocol MLComputeDeviceProtocol <NSObject>
@end
SINCE(14.0) @interface MLCPUComputeDevice : NSObject<MLComputeDeviceProtocol>
DOUBLE_IVARS(MLCPUComputeDevice)
@end
SINCE(14.0) @interface MLGPUComputeDevice : NSObject<MLComputeDeviceProtocol>
DOUBLE_IVARS(MLGPUComputeDevice)
@end
SINCE(14.0) @interface MLNeuralEngineComputeDevice : NSObject<MLComputeDeviceProtocol>
DOUBLE_IVARS(MLNeuralEngineComputeDevice)
@property(readonly, nonatomic) NSInteger totalCoreCount;
@end
FOUNDATION_EXPORT NSArray *MLAllComputeDevices(void) SINCE(14.0);

SINCE(14.4) @interface MLComputePlanCost : NSObject
DOUBLE_IVARS(MLComputePlanCost)
@property(readonly, nonatomic) double weight;
@end

SINCE(14.4) @interface MLComputePlanDeviceUsage : NSObject
DOUBLE_IVARS(MLComputePlanDeviceUsage)
@property(readonly, nonatomic) NSArray *supportedComputeDevices;
@property(readonly, nonatomic) id<MLComputeDeviceProtocol> preferredComputeDevice;
@end

SINCE(14.4) @interface MLModelStructureProgramNamedValueType : NSObject
DOUBLE_IVARS(MLModelStructureProgramNamedValueType)
@property(readonly, nonatomic) NSString *name;
@end

SINCE(14.4) @interface MLModelStructureProgramOperation : NSObject
DOUBLE_IVARS(MLModelStructureProgramOperation)
@property(readonly, nonatomic) NSString *operatorName;
@property(readonly, nonatomic) NSArray *outputs;
@end

SINCE(14.4) @interface MLModelStructureProgramBlock : NSObject
DOUBLE_IVARS(MLModelStructureProgramBlock)
@property(readonly, nonatomic) NSArray *operations;
@end

SINCE(14.4) @interface MLModelStructureProgramFunction : NSObject
DOUBLE_IVARS(MLModelStructureProgramFunction)
@property(readonly, nonatomic) MLModelStructureProgramBlock *block;
@end

SINCE(14.4) @interface MLModelStructureProgram : NSObject
DOUBLE_IVARS(MLModelStructureProgram)
@property(readonly, nonatomic) NSDictionary *functions;
@end

SINCE(14.4) @interface MLModelStructure : NSObject
DOUBLE_IVARS(MLModelStructure)
@property(readonly, nonatomic) MLModelStructureProgram *program;
@end

SINCE(14.4) @interface MLComputePlan : NSObject
DOUBLE_IVARS(MLComputePlan)
+ (void)loadContentsOfURL:(NSURL *)url
            configuration:(MLModelConfiguration *)configuration
        completionHandler:(void (^)(MLComputePlan *computePlan, NSError *error))handler;
- (MLComputePlanDeviceUsage *)computeDeviceUsageForMLProgramOperation:
    (MLModelStructureProgramOperation *)operation;
- (MLComputePlanCost *)estimatedCostOfMLProgramOperation:
    (MLModelStructureProgramOperation *)operation;
@property(readonly, nonatomic) MLModelStructure *modelStructure;
@end

#endif
