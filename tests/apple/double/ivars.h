// ivars.h — instance variables of the double's classes: the legacy runtime of GNUstep wants them in the interface.
#define DOUBLE_IVARS(Class) DOUBLE_IVARS_##Class
#define DOUBLE_IVARS_MLMultiArray                                                                  \
    {                                                                                              \
        void *data;                                                                                \
        BOOL owns_data;                                                                            \
        void (^given_back)(void *);                                                                \
        NSArray *shape, *strides;                                                                  \
        MLMultiArrayDataType dataType;                                                             \
        size_t n_bytes;                                                                            \
    }
#define DOUBLE_IVARS_MLFeatureValue                                                                \
    { MLMultiArray *array; }
#define DOUBLE_IVARS_MLDictionaryFeatureProvider                                                   \
    { NSDictionary *values; }
#define DOUBLE_IVARS_MLMultiArrayConstraint                                                        \
    {                                                                                              \
        NSArray *shape;                                                                            \
        MLMultiArrayDataType dataType;                                                             \
    }
#define DOUBLE_IVARS_MLStateConstraint                                                             \
    {                                                                                              \
        NSArray *bufferShape;                                                                      \
        MLMultiArrayDataType dataType;                                                             \
    }
#define DOUBLE_IVARS_MLFeatureDescription                                                          \
    {                                                                                              \
        NSString *name;                                                                            \
        MLMultiArrayConstraint *multiArrayConstraint;                                              \
        MLStateConstraint *stateConstraint;                                                        \
    }
#define DOUBLE_IVARS_MLModelDescription                                                            \
    { NSMutableDictionary *inputs, *outputs, *states; }
#define DOUBLE_IVARS_MLModelConfiguration                                                          \
    {                                                                                              \
        MLComputeUnits computeUnits;                                                               \
        NSString *functionName;                                                                    \
    }
#define DOUBLE_IVARS_MLPredictionOptions                                                           \
    { NSDictionary *outputBackings; }
#define DOUBLE_IVARS_MLState                                                                       \
    {                                                                                              \
      @public                                                                                      \
        struct BackendState *state;                                                                \
    }
#define DOUBLE_IVARS_MLModel                                                                       \
    {                                                                                              \
        struct Backend *backend;                                                                   \
        MLModelDescription *description;                                                           \
        long n_runs;                                                                               \
    }
#define DOUBLE_IVARS_MLCPUComputeDevice
#define DOUBLE_IVARS_MLGPUComputeDevice
#define DOUBLE_IVARS_MLNeuralEngineComputeDevice
#define DOUBLE_IVARS_MLComputePlanCost                                                             \
    {                                                                                              \
      @public                                                                                      \
        double weight;                                                                             \
    }
#define DOUBLE_IVARS_MLComputePlanDeviceUsage                                                      \
    {                                                                                              \
      @public                                                                                      \
        NSArray *supported;                                                                        \
        id preferred;                                                                              \
    }
#define DOUBLE_IVARS_MLModelStructureProgramNamedValueType                                         \
    {                                                                                              \
      @public                                                                                      \
        NSString *name;                                                                            \
    }
#define DOUBLE_IVARS_MLModelStructureProgramOperation                                              \
    {                                                                                              \
        NSString *operatorName;                                                                    \
        NSArray *outputs;                                                                          \
    }
#define DOUBLE_IVARS_MLModelStructureProgramBlock                                                  \
    { NSArray *operations; }
#define DOUBLE_IVARS_MLModelStructureProgramFunction                                               \
    { MLModelStructureProgramBlock *block; }
#define DOUBLE_IVARS_MLModelStructureProgram                                                       \
    { NSDictionary *functions; }
#define DOUBLE_IVARS_MLModelStructure                                                              \
    { MLModelStructureProgram *program; }
#define DOUBLE_IVARS_MLComputePlan                                                                 \
    {                                                                                              \
        MLModelStructure *structure;                                                               \
        BOOL isCPUOnly;                                                                            \
    }
