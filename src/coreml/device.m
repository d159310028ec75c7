// device.m — device.h over Core ML. Manual retain and release: the same file is compiled for macOS
// and, with the double, on GNUstep, whose runtime has no ARC.
//
// Needs macOS 15, where states came: anything newer is guarded (the tests build with
// -Wunguarded-availability for that target). Every entry point holds an autorelease pool and catches NSException. Blocks get pointers to
// structs on the stack; completion handlers are waited for by a condition.
#include "coreml/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#import <CoreML/CoreML.h>

#include "base/memory.h"
#include "coreml/errors.h"

// One set of input arrays with what is made of them. The framework may hold them for seconds after a
// prediction has returned: a set that it holds is not written, another one takes its place.
typedef struct {
    id<MLFeatureProvider> provider;
    MLMultiArray **arrays;   // [n_in], of memory[i], which goes when the array does
    MLFeatureValue **values; // [n_in]
    void **memory;
    NSUInteger *
        held_by_us; // [2 n_in + 1]: references of provider, arrays, values while nobody else has one
} InputSet;

enum { MAX_SETS = 16, MAX_SET_BYTES = 64 << 20 }; // of all sets but the first

struct CoremlModel {
    MLModel *model;
    InputSet *sets; // [MAX_SETS]
    size_t n_sets, current;
    MLPredictionOptions *options;
    CoremlPort *in, *out, *states;
    size_t n_in, n_out, n_states;
    MLMultiArray **backings; // [n_out], of `out`
    pthread_mutex_t lock;
    CoremlCounts counts;
};

struct CoremlState {
    MLState *state;
    pthread_mutex_t lock; // functions of a package share it
};

enum { PAGE = 16384 }; // of Apple silicon: arrays that start on a page can be handed over whole

// ---- errors

static const char *utf8(NSString *text) {
    const char *at = text ? [text UTF8String] : NULL;
    return at ? at : "(no text)";
}

static bool fail_with(Err *err, const char *what, NSError *error) {
    if (!error) return coreml_error_set(err, what, "no error was given");
    char text[768];
    snprintf(text, sizeof text, "%s (%s, error code: %ld)", utf8([error localizedDescription]),
             utf8([error domain]), (long)[error code]);
    return coreml_error_set(err, what, text);
}

static bool fail_thrown(Err *err, const char *what, NSException *thrown) {
    char text[768];
    snprintf(text, sizeof text, "%s: %s", utf8([thrown name]), utf8([thrown reason]));
    return coreml_error_set(err, what, text);
}

bool coreml_is_present(void) {
    return true;
}

static NSString *string_of(const char *text) {
    return [NSString stringWithUTF8String:text];
}

static NSURL *url_of(const char *path) {
    return [NSURL fileURLWithPath:string_of(path)];
}

// ---- waiting for another thread

// What a completion handler hands over. Both objects are retained by the handler.
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool has_come;
    id result;
    NSError *error;
} Answer;

static void answer_open(Answer *a) {
    *a = (Answer){.has_come = false};
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->done, NULL);
}

static void answer_give(Answer *a, id result, NSError *error) {
    pthread_mutex_lock(&a->lock);
    a->result = [result retain];
    a->error = [error retain];
    a->has_come = true;
    pthread_cond_signal(&a->done);
    pthread_mutex_unlock(&a->lock);
}

static void answer_wait(Answer *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->has_come) pthread_cond_wait(&a->done, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

static void answer_close(Answer *a) {
    [a->result release];
    [a->error release];
    pthread_cond_destroy(&a->done);
    pthread_mutex_destroy(&a->lock);
}

// ---- compiling

bool coreml_compile(const char *package, const char *compiled, Err *err) {
    bool ok = false;
    @autoreleasepool {
        Answer answer;
        Answer *to = &answer;
        answer_open(to);
        @try {
            [MLModel compileModelAtURL:url_of(package)
                     completionHandler:^(NSURL *url, NSError *error) {
                       answer_give(to, url, error);
                     }];
            answer_wait(to);
            if (!answer.result)
                fail_with(err, package, answer.error);
            else if (rename(utf8([(NSURL *)answer.result path]), compiled) != 0)
                err_errno(err, "%s: cannot move the compiled model to this place", compiled);
            else
                ok = true;
        } @catch (NSException *thrown) {
            fail_thrown(err, package, thrown);
        }
        answer_close(to);
    }
    return ok;
}

// ---- ports

static size_t type_bytes(CoremlType type) {
    return type == COREML_FP16 ? 2 : 4;
}

static bool read_type(CoremlType *out, MLMultiArrayDataType type) {
    switch (type) {
    case MLMultiArrayDataTypeFloat16: *out = COREML_FP16; return true;
    case MLMultiArrayDataTypeFloat32: *out = COREML_FP32; return true;
    case MLMultiArrayDataTypeInt32: *out = COREML_INT32; return true;
    default: return false;
    }
}

static bool read_port(CoremlPort *p, NSString *name, NSArray *shape, MLMultiArrayDataType type,
                      Err *err) {
    *p = (CoremlPort){.n_dims = [shape count], .count = 1};
    if (!read_type(&p->type, type))
        return err_set(err, ERR_FORMAT, "'%s': data type 0x%lx, expected fp16, fp32 or int32",
                       utf8(name), (unsigned long)type);
    if (p->n_dims == 0 || p->n_dims > COREML_MAX_RANK)
        return err_set(err, ERR_FORMAT, "'%s': %zu dimensions, expected 1 to %d", utf8(name),
                       p->n_dims, COREML_MAX_RANK);
    for (size_t i = 0; i < p->n_dims; i++) {
        p->dims[i] = [(NSNumber *)[shape objectAtIndex:i] unsignedIntegerValue];
        if (p->dims[i] == 0 || p->count > SIZE_MAX / 8 / p->dims[i])
            return err_set(err, ERR_FORMAT, "'%s': dimension %zu is %zu", utf8(name), i,
                           p->dims[i]);
        p->count *= p->dims[i];
    }
    p->name = strdup(utf8(name));
    if (!p->name) die_out_of_memory(strlen(utf8(name)));
    return true;
}

static size_t port_bytes(const CoremlPort *p) {
    return p->count * type_bytes(p->type);
}

static void *new_memory(const CoremlPort *p, Err *err) {
    size_t n = port_bytes(p);
    void *at = NULL;
    if (posix_memalign(&at, PAGE, (n + PAGE - 1) / PAGE * PAGE) != 0) {
        err_set(err, ERR_SYSTEM, "'%s': no memory for %zu bytes", p->name, n);
        return NULL;
    }
    memset(at, 0, n);
    return at;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const CoremlPort *)a)->name, ((const CoremlPort *)b)->name);
}

typedef enum { PORT_ARRAY, PORT_STATE } PortKind;

// Reads the descriptions of one kind, sorted by name, so that their order is not the dictionary's.
static bool read_ports(CoremlPort **ports, size_t *n, NSDictionary *described, PortKind kind,
                       Err *err) {
    *n = 0;
    if ([described count] > COREML_MAX_PORTS)
        return err_set(err, ERR_FORMAT, "%lu inputs, outputs or states, expected at most %d",
                       (unsigned long)[described count], COREML_MAX_PORTS);
    *ports = calloc([described count] + 1, sizeof **ports);
    if (!*ports) die_out_of_memory(([described count] + 1) * sizeof **ports);
    for (NSString *name in described) {
        MLFeatureDescription *d = [described objectForKey:name];
        NSArray *shape = nil;
        MLMultiArrayDataType type = MLMultiArrayDataTypeFloat16;
        if (kind == PORT_STATE) {
            shape = [[d stateConstraint] bufferShape];
            type = [[d stateConstraint] dataType];
        } else {
            shape = [[d multiArrayConstraint] shape];
            type = [[d multiArrayConstraint] dataType];
        }
        if (!shape) return err_set(err, ERR_FORMAT, "'%s' is not a multi-array", utf8(name));
        CoremlPort *p = &(*ports)[*n];
        bool ok = read_port(p, name, shape, type, err);
        if (p->name) ++*n;
        if (!ok) return false;
    }
    qsort(*ports, *n, sizeof **ports, by_name);
    return true;
}

static void free_ports(CoremlPort *ports, size_t n) {
    for (size_t i = 0; i < n; i++) free((char *)(uintptr_t)ports[i].name);
    free(ports);
}

static const CoremlPort *find_port(const CoremlPort *ports, size_t n, Str name) {
    for (size_t i = 0; i < n; i++)
        if (str_is(name, ports[i].name)) return &ports[i];
    return NULL;
}

const CoremlPort *coreml_input(const CoremlModel *m, Str name) {
    return find_port(m->in, m->n_in, name);
}

const CoremlPort *coreml_output(const CoremlModel *m, Str name) {
    return find_port(m->out, m->n_out, name);
}

size_t coreml_n_inputs(const CoremlModel *m) {
    return m->n_in;
}

size_t coreml_n_outputs(const CoremlModel *m) {
    return m->n_out;
}

size_t coreml_n_states(const CoremlModel *m) {
    return m->n_states;
}

const CoremlPort *coreml_input_at(const CoremlModel *m, size_t i) {
    return &m->in[i];
}

const CoremlPort *coreml_output_at(const CoremlModel *m, size_t i) {
    return &m->out[i];
}

const CoremlPort *coreml_state_at(const CoremlModel *m, size_t i) {
    return &m->states[i];
}

// ---- arrays

// An array over new memory, *at, which goes with it: the framework may hold the array longer than we
// do. The caller releases it.
static MLMultiArray *array_of(const CoremlPort *p, void **at, Err *err) {
    static const MLMultiArrayDataType types[] = {
        [COREML_FP16] = MLMultiArrayDataTypeFloat16,
        [COREML_FP32] = MLMultiArrayDataTypeFloat32,
        [COREML_INT32] = MLMultiArrayDataTypeInt32,
    };
    NSMutableArray *shape = [NSMutableArray arrayWithCapacity:p->n_dims];
    NSMutableArray *strides = [NSMutableArray arrayWithCapacity:p->n_dims];
    size_t stride = p->count;
    for (size_t i = 0; i < p->n_dims; i++) {
        stride /= p->dims[i];
        [shape addObject:[NSNumber numberWithUnsignedLong:p->dims[i]]];
        [strides addObject:[NSNumber numberWithUnsignedLong:stride]];
    }
    NSError *error = nil;
    *at = new_memory(p, err);
    if (!*at) return nil;
    MLMultiArray *array = [[MLMultiArray alloc] initWithDataPointer:*at
                                                              shape:shape
                                                           dataType:types[p->type]
                                                            strides:strides
                                                        deallocator:^(void *bytes) {
                                                          free(bytes);
                                                        }
                                                              error:&error];
    if (!array) fail_with(err, p->name, error);
    return array;
}

// Elements in row-major order, wherever the strides put them. `strides` in elements.
typedef struct {
    size_t n_dims, dims[COREML_MAX_RANK], strides[COREML_MAX_RANK], element;
    bool is_packed;
} Layout;

static bool layout_of(Layout *l, const CoremlPort *p, NSArray *strides, size_t n_bytes, Err *err) {
    *l = (Layout){.n_dims = p->n_dims, .element = type_bytes(p->type), .is_packed = true};
    size_t packed = p->count, last = 0;
    if ([strides count] != p->n_dims)
        return err_set(err, ERR_FORMAT, "'%s': %lu strides for %zu dimensions", p->name,
                       (unsigned long)[strides count], p->n_dims);
    for (size_t i = 0; i < p->n_dims; i++) {
        packed /= p->dims[i];
        l->dims[i] = p->dims[i];
        l->strides[i] = [(NSNumber *)[strides objectAtIndex:i] unsignedIntegerValue];
        if (p->dims[i] > 1 && l->strides[i] != packed) l->is_packed = false;
        if (l->strides[i] > n_bytes) l->strides[i] = p->dims[i] > 1 ? n_bytes : 0;
        last += (p->dims[i] - 1) * l->strides[i];
    }
    if ((last + 1) * l->element <= n_bytes) return true;
    return err_set(err, ERR_FORMAT, "'%s': %zu bytes, expected at least %zu by its strides",
                   p->name, n_bytes, (last + 1) * l->element);
}

// Copies between an array as the framework lays it out and packed memory: rows of the innermost
// dimension at once.
static void copy_rows(const Layout *l, uint8_t *framework, uint8_t *packed, bool is_out) {
    size_t inner = l->n_dims - 1, row = l->dims[inner], n_rows = 1;
    bool is_dense = l->strides[inner] == 1 || row == 1;
    for (size_t i = 0; i < inner; i++) n_rows *= l->dims[i];
    for (size_t r = 0; r < n_rows; r++) {
        size_t at = 0, rest = r;
        for (size_t i = inner; i-- > 0;) {
            at += rest % l->dims[i] * l->strides[i];
            rest /= l->dims[i];
        }
        size_t step = is_dense ? row : 1;
        for (size_t k = 0; k < row; k += step, packed += step * l->element) {
            uint8_t *there = framework + (at + k * l->strides[inner]) * l->element;
            if (is_out)
                memcpy(packed, there, step * l->element);
            else
                memcpy(there, packed, step * l->element);
        }
    }
}

// What an access block needs and says.
typedef struct {
    const CoremlPort *port;
    uint8_t *packed;
    bool is_out, is_padded, ok;
    Err *err;
} Access;

static bool copy_array(MLMultiArray *array, Access *access) {
    Access *a = access;
    a->ok = false;
    CoremlType type;
    if (!read_type(&type, [array dataType]) || type != a->port->type ||
        (size_t)[array count] != a->port->count)
        return err_set(a->err, ERR_FORMAT,
                       "'%s': the framework gave %ld elements of type 0x%lx, expected %zu as the "
                       "model describes it",
                       a->port->name, (long)[array count], (unsigned long)[array dataType],
                       a->port->count);
    [array getMutableBytesWithHandler:^(void *bytes, NSInteger size, NSArray *strides) {
      Layout l;
      a->ok = layout_of(&l, a->port, strides, (size_t)size, a->err);
      if (!a->ok) return;
      a->is_padded = !l.is_packed;
      copy_rows(&l, bytes, a->packed, a->is_out);
    }];
    return a->ok;
}

// ---- opening

static MLModelConfiguration *configuration_of(const char *function, CoremlUnits units) {
    MLModelConfiguration *c = [[[MLModelConfiguration alloc] init] autorelease];
    [c setComputeUnits:units == COREML_CPU ? MLComputeUnitsCPUOnly
                                           : MLComputeUnitsCPUAndNeuralEngine];
    if (function) [c setFunctionName:string_of(function)];
    return c;
}

static void *zeroed(size_t count, size_t size) {
    void *at = calloc(count + 1, size);
    if (!at) die_out_of_memory((count + 1) * size);
    return at;
}

static bool make_set(CoremlModel *m, InputSet *s, Err *err) {
    NSMutableDictionary *values = [NSMutableDictionary dictionaryWithCapacity:m->n_in];
    *s = (InputSet){.arrays = zeroed(m->n_in, sizeof *s->arrays),
                    .values = zeroed(m->n_in, sizeof *s->values),
                    .memory = zeroed(m->n_in, sizeof *s->memory),
                    .held_by_us = zeroed(2 * m->n_in, sizeof *s->held_by_us)};
    for (size_t i = 0; i < m->n_in; i++) {
        s->arrays[i] = array_of(&m->in[i], &s->memory[i], err);
        if (!s->arrays[i]) return false;
        s->values[i] = [[MLFeatureValue featureValueWithMultiArray:s->arrays[i]] retain];
        [values setObject:s->values[i] forKey:string_of(m->in[i].name)];
    }
    NSError *error = nil;
    s->provider = [[MLDictionaryFeatureProvider alloc] initWithDictionary:values error:&error];
    return s->provider != nil || fail_with(err, "inputs", error);
}

static void close_set(const CoremlModel *m, InputSet *s) {
    [(NSObject *)s->provider release];
    for (size_t i = 0; i < m->n_in; i++) {
        if (s->values) [s->values[i] release];
        if (s->arrays) [s->arrays[i] release];
    }
    free(s->arrays);
    free(s->values);
    free(s->memory);
    free(s->held_by_us);
}

static NSUInteger references(const CoremlModel *m, const InputSet *s, size_t i) {
    if (i < m->n_in) return [s->arrays[i] retainCount];
    return i < 2 * m->n_in ? [s->values[i - m->n_in] retainCount]
                           : [(NSObject *)s->provider retainCount];
}

// Outside of the pool in which the set was made, which holds some of it.
static void count_own(const CoremlModel *m, InputSet *s) {
    for (size_t i = 0; i <= 2 * m->n_in; i++) s->held_by_us[i] = references(m, s, i);
}

static bool is_held(const CoremlModel *m, const InputSet *s) {
    for (size_t i = 0; i <= 2 * m->n_in; i++)
        if (references(m, s, i) > s->held_by_us[i]) return true;
    return false;
}

static void use_set(CoremlModel *m, size_t set) {
    const void *const *before = (const void *const *)m->sets[m->current].memory;
    for (size_t i = 0; i < m->n_in; i++) {
        if (set != m->current) memcpy(m->sets[set].memory[i], before[i], port_bytes(&m->in[i]));
        m->in[i].at = m->sets[set].memory[i];
    }
    m->current = set;
}

static size_t set_bytes(const CoremlModel *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_in; i++) n += port_bytes(&m->in[i]);
    return n;
}

// Another set; false where there are enough, or none can be made.
static bool add_set(CoremlModel *m) {
    if (m->n_sets == MAX_SETS || m->n_sets * set_bytes(m) > MAX_SET_BYTES) return false;
    InputSet *s = &m->sets[m->n_sets];
    bool ok = false;
    @autoreleasepool {
        ok = make_set(m, s, NULL);
        if (!ok) close_set(m, s);
    }
    if (!ok) return false;
    count_own(m, s);
    m->n_sets++;
    return true;
}

// After a prediction: inputs that the framework still holds stay as they are, and what the caller writes
// next goes into a set that it does not hold. Where all are held and no more can be made, into the one that
// was used longest ago.
static void leave_held_inputs(CoremlModel *m) {
    if (!is_held(m, &m->sets[m->current])) return;
    m->counts.n_held++;
    size_t next = (m->current + 1) % m->n_sets;
    for (size_t i = 1; i < m->n_sets; i++) {
        size_t set = (m->current + i) % m->n_sets;
        if (is_held(m, &m->sets[set])) continue;
        use_set(m, set);
        return;
    }
    use_set(m, add_set(m) ? m->n_sets - 1 : next);
}

static bool make_backings(CoremlModel *m, Err *err) {
    NSMutableDictionary *backings = [NSMutableDictionary dictionaryWithCapacity:m->n_out];
    m->backings = calloc(m->n_out + 1, sizeof *m->backings);
    if (!m->backings) die_out_of_memory((m->n_out + 1) * sizeof *m->backings);
    for (size_t i = 0; i < m->n_out; i++) {
        m->backings[i] = array_of(&m->out[i], &m->out[i].at, err);
        if (!m->backings[i]) return false;
        [backings setObject:m->backings[i] forKey:string_of(m->out[i].name)];
    }
    m->options = [[MLPredictionOptions alloc] init];
    [m->options setOutputBackings:backings];
    return true;
}

static bool open_model(CoremlModel *m, const char *compiled, const char *function,
                       CoremlUnits units, Err *err) {
    NSError *error = nil;
    m->model = [[MLModel modelWithContentsOfURL:url_of(compiled)
                                  configuration:configuration_of(function, units)
                                          error:&error] retain];
    if (!m->model) return fail_with(err, compiled, error);
    MLModelDescription *d = [m->model modelDescription];
    if (!read_ports(&m->in, &m->n_in, [d inputDescriptionsByName], PORT_ARRAY, err) ||
        !read_ports(&m->out, &m->n_out, [d outputDescriptionsByName], PORT_ARRAY, err) ||
        !read_ports(&m->states, &m->n_states, [d stateDescriptionsByName], PORT_STATE, err))
        return false;
    m->sets = zeroed(MAX_SETS, sizeof *m->sets);
    m->n_sets = 1;
    if (!make_set(m, &m->sets[0], err) || !make_backings(m, err)) return false;
    use_set(m, 0);
    return true;
}

CoremlModel *coreml_open(const char *compiled, const char *function, CoremlUnits units, Err *err) {
    CoremlModel *m = calloc(1, sizeof *m);
    if (!m) die_out_of_memory(sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    bool ok = false;
    @autoreleasepool {
        @try {
            ok = open_model(m, compiled, function, units, err);
        } @catch (NSException *thrown) {
            fail_thrown(err, compiled, thrown);
        }
    }
    if (!ok) {
        coreml_close(m);
        return NULL;
    }
    count_own(m, &m->sets[0]);
    return m;
}

void coreml_close(CoremlModel *m) {
    if (!m) return;
    @autoreleasepool {
        [m->options release];
        for (size_t i = 0; i < m->n_sets; i++) close_set(m, &m->sets[i]);
        for (size_t i = 0; m->backings && i < m->n_out; i++) [m->backings[i] release];
        [m->model release];
    }
    free(m->backings);
    free(m->sets);
    free_ports(m->in, m->n_in);
    free_ports(m->out, m->n_out);
    free_ports(m->states, m->n_states);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

// ---- states

CoremlState *coreml_state_open(CoremlModel *m, Err *err) {
    CoremlState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    @autoreleasepool {
        @try {
            s->state = [m->model newState];
            if (!s->state) err_set(err, ERR_SYSTEM, "the framework made no state");
        } @catch (NSException *thrown) {
            fail_thrown(err, "a new state", thrown);
        }
    }
    if (!s->state) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void coreml_state_close(CoremlState *s) {
    if (!s) return;
    @autoreleasepool {
        [s->state release];
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// The state's shape is the array's own: its description belongs to the model.
static bool describe_array(CoremlPort *p, const char *name, MLMultiArray *array, size_t count,
                           Err *err) {
    if (!read_port(p, string_of(name), [array shape], [array dataType], err)) return false;
    if (p->count == count && p->type == COREML_FP16) return true;
    return err_set(err, ERR_FORMAT, "state '%s': %zu elements of %zu bytes, expected %zu of 2",
                   name, p->count, type_bytes(p->type), count);
}

static bool access_state(CoremlState *s, const char *name, uint8_t *packed, size_t count,
                         bool is_out, Err *err) {
    __block bool ok = false, was_called = false;
    pthread_mutex_lock(&s->lock);
    @autoreleasepool {
        @try {
            [s->state getMultiArrayForStateNamed:string_of(name)
                                         handler:^(MLMultiArray *array) {
                                           CoremlPort port = {0};
                                           was_called = true;
                                           if (describe_array(&port, name, array, count, err)) {
                                               Access a = {.port = &port,
                                                           .packed = packed,
                                                           .is_out = is_out,
                                                           .err = err};
                                               ok = copy_array(array, &a);
                                           }
                                           free((char *)(uintptr_t)port.name);
                                         }];
            if (!was_called) err_set(err, ERR_SYSTEM, "state '%s': the framework has none", name);
        } @catch (NSException *thrown) {
            ok = fail_thrown(err, name, thrown);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool coreml_state_read(CoremlState *s, const char *name, uint16_t *out, size_t count, Err *err) {
    return access_state(s, name, (uint8_t *)out, count, true, err);
}

bool coreml_state_write(CoremlState *s, const char *name, const uint16_t *in, size_t count,
                        Err *err) {
    return access_state(s, name, (uint8_t *)(uintptr_t)in, count, false, err);
}

// ---- running

static bool take_output(CoremlModel *m, size_t i, id<MLFeatureProvider> results, Err *err) {
    const CoremlPort *p = &m->out[i];
    MLMultiArray *array = [[results featureValueForName:string_of(p->name)] multiArrayValue];
    if (!array) return err_set(err, ERR_FORMAT, "output '%s' is missing from the results", p->name);
    if (array == m->backings[i]) return true;
    m->counts.n_declined++;
    Access a = {.port = p, .packed = p->at, .is_out = true, .err = err};
    if (!copy_array(array, &a)) return false;
    m->counts.n_padded += a.is_padded;
    return true;
}

static bool run_locked(CoremlModel *m, CoremlState *s, Err *err) {
    NSError *error = nil;
    id<MLFeatureProvider> results = nil, inputs = m->sets[m->current].provider;
    if (s)
        results = [m->model predictionFromFeatures:inputs
                                        usingState:s->state
                                           options:m->options
                                             error:&error];
    else
        results = [m->model predictionFromFeatures:inputs options:m->options error:&error];
    if (!results) return fail_with(err, "prediction", error);
    m->counts.n_runs++;
    for (size_t i = 0; i < m->n_out; i++)
        if (!take_output(m, i, results, err)) return false;
    return true;
}

bool coreml_run(CoremlModel *m, CoremlState *s, bool *is_exhausted, Err *err) {
    bool ok = false;
    Err why = {0};
    pthread_mutex_lock(&m->lock);
    if (s) pthread_mutex_lock(&s->lock);
    @autoreleasepool {
        @try {
            ok = run_locked(m, s, &why);
        } @catch (NSException *thrown) {
            fail_thrown(&why, "prediction", thrown);
        }
    }
    if (s) pthread_mutex_unlock(&s->lock);
    leave_held_inputs(m); // outside of the pool, whose objects hold them, too
    pthread_mutex_unlock(&m->lock);
    if (is_exhausted)
        *is_exhausted = !ok && strstr(why.text, coreml_errors[COREML_ERROR_U2].text) != NULL;
    if (!ok && err) *err = why;
    return ok;
}

CoremlCounts coreml_counts(const CoremlModel *m) {
    return m->counts;
}

// ---- plans

static void take_operation(MLComputePlan *plan, MLModelStructureProgramOperation *operation,
                           CoremlPlanTaker *take, void *context) {
    CoremlPlanOp op = {.op = utf8([operation operatorName]), .output = ""};
    if ([[operation outputs] count]) {
        MLModelStructureProgramNamedValueType *first = [[operation outputs] objectAtIndex:0];
        op.output = utf8([first name]);
    }
    MLComputePlanDeviceUsage *usage = [plan computeDeviceUsageForMLProgramOperation:operation];
    op.has_usage = usage != nil;
    for (NSObject *device in [usage supportedComputeDevices]) {
        op.on_cpu = op.on_cpu || [device isKindOfClass:[MLCPUComputeDevice class]];
        op.on_gpu = op.on_gpu || [device isKindOfClass:[MLGPUComputeDevice class]];
        op.on_ane = op.on_ane || [device isKindOfClass:[MLNeuralEngineComputeDevice class]];
    }
    NSObject *preferred = (NSObject *)[usage preferredComputeDevice];
    if ([preferred isKindOfClass:[MLNeuralEngineComputeDevice class]])
        op.preferred = COREML_ON_ANE;
    else if ([preferred isKindOfClass:[MLGPUComputeDevice class]])
        op.preferred = COREML_ON_GPU;
    MLComputePlanCost *cost = [plan estimatedCostOfMLProgramOperation:operation];
    op.cost = cost ? [cost weight] : 0;
    take(context, &op);
}

static bool walk_plan(MLComputePlan *plan, const char *function, CoremlPlanTaker *take,
                      void *context, Err *err) {
    const char *name = function ? function : "main";
    MLModelStructureProgram *program = [[plan modelStructure] program];
    if (!program) return err_set(err, ERR_FORMAT, "the plan is not one of an ML Program");
    MLModelStructureProgramFunction *f = [[program functions] objectForKey:string_of(name)];
    if (!f) return err_set(err, ERR_FORMAT, "the plan has no function '%s'", name);
    for (MLModelStructureProgramOperation *operation in [[f block] operations])
        take_operation(plan, operation, take, context);
    return true;
}

bool coreml_plan(const char *compiled, const char *function, CoremlUnits units,
                 CoremlPlanTaker *take, void *context, Err *err) {
    bool ok = false;
    @autoreleasepool {
        Answer answer;
        Answer *to = &answer;
        answer_open(to);
        @try {
            [MLComputePlan loadContentsOfURL:url_of(compiled)
                               configuration:configuration_of(function, units)
                           completionHandler:^(MLComputePlan *plan, NSError *error) {
                             answer_give(to, plan, error);
                           }];
            answer_wait(to);
            ok = answer.result ? walk_plan(answer.result, function, take, context, err)
                               : fail_with(err, compiled, answer.error);
        } @catch (NSException *thrown) {
            ok = fail_thrown(err, compiled, thrown);
        }
        answer_close(to);
    }
    return ok;
}

size_t coreml_n_ane_cores(void) {
    size_t n = 0;
    @autoreleasepool {
        @try {
            for (NSObject *device in MLAllComputeDevices())
                if ([device isKindOfClass:[MLNeuralEngineComputeDevice class]])
                    n += (size_t)[(MLNeuralEngineComputeDevice *)device totalCoreCount];
        } @catch (NSException *thrown) {
            n = 0;
        }
    }
    return n;
}

void coreml_framework_version(char *out, size_t size) {
    if (size) out[0] = 0;
    @autoreleasepool {
        @try {
            NSString *version = [[NSBundle bundleForClass:[MLModel class]]
                objectForInfoDictionaryKey:string_of("CFBundleVersion")];
            if (version) snprintf(out, size, "%s", utf8(version));
        } @catch (NSException *thrown) {
            if (size) out[0] = 0;
        }
    }
}
