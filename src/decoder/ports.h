// ports.h — the names by which a host drives a shard: its functions, inputs, outputs and states.
//
// The compiler makes programs with these names and the runtime fills them; docs/chain-schema.md
// says what each holds. T is the function's row count, S the rows of the KV states, R those
// of layers whose window has a ring (rings.h), wherever the two differ:
//
//     x           fp16 [1, d_model, 1, T]       hidden rows, or embedding rows for the first shard
//     cos, sin    fp16 [1, 1, rope_dim / 2, T]  of each row's position, attention factor in them
//     mask        fp16 [1, 1, T, S]             0 where row t sees slot s, MASK_OFF where not; in the
//                                               rows form [1, 1, T, S + T], last the T new rows
//     kv_begin_NN int32 [4]                     slice form: where the rows of layer NN of the shard
//     kv_end_NN   int32 [4]                     begin and end in the state
//     write_mask  fp16 [1, 1, S, T]             1 where slot s takes row t (overwrite form);
//                                               write_mask_ring [1, 1, R, T] the same of rings
//     k_NN, v_NN  fp16 [1, kv heads, S, dims]   caches of layer NN (rows form; others have states)
//     hidden      fp16 [1, d_model, 1, T]       after the shard's layers
//     new_k_NN    fp16 [1, kv heads, T, dims]   rows form: what the host puts into the caches; new_v_NN
//     logits_N    fp16 [1, rows, 1, 1]          vocabulary rows, slice after slice
//
// cos, sin and mask are those of layers of kind 0 (contract.h: LayerKind). A function with layers of
// kind N > 0 has cos_N, sin_N and mask_N for them, and none of the first three where no layer is of
// kind 0.
#ifndef LATHE_DECODER_PORTS_H
#define LATHE_DECODER_PORTS_H

#include <stdint.h>

#include "base/arena.h"

#define FUNCTION_DECODE  "decode"
#define FUNCTION_PREFILL "prefill"
#define FUNCTION_HEAD    "head"
#define INPUT_X          "x"
#define INPUT_COS        "cos"
#define INPUT_SIN        "sin"
#define INPUT_MASK       "mask"
#define INPUT_KV_BEGIN   "kv_begin"
#define INPUT_KV_END     "kv_end"
#define INPUT_WRITE_MASK "write_mask"
#define INPUT_WRITE_RING "write_mask_ring"
#define OUTPUT_HIDDEN    "hidden"
#define OUTPUT_LOGITS    "logits_" // and the number of the slice
#define OUTPUT_NEW_K     "new_k"   // rows form: new_k_NN and new_v_NN, the new rows of layer NN
#define OUTPUT_NEW_V     "new_v"
#define STATE_KV         "kv" // slice form
#define STATE_KV_RING    "kv_ring"
#define CACHE_K          "k" // k_NN and v_NN of layer NN: states of the overwrite form, inputs
#define CACHE_V          "v" // of the rows form

// Rows per call of prefill by default. Public projects ship 64 (smpanaro/coreml-llm-cli) and 128
// (kasper0406/gemma-coreml-chat); a matrix product was fastest at 128 rows on an M4 Max and half as
// fast from 256 on (rcarback/qwen-3.8-mtp-challenge). No published comparison of 64 and 128 on one
// model is known. 64 pads a short question half as much, and allows 7 stacked heads over 2,048
// slots in one matmul (attention.c).
enum { DEFAULT_PREFILL_ROWS = 64 };

// Added to a score that must not count. Finite, exact in fp16, and exp of it is 0: the float32
// minimum turns to -inf in fp16, and a row with every key at -inf is NaN.
#define MASK_OFF (-1e4f)

// The name of `port` (INPUT_COS, INPUT_SIN, INPUT_MASK) for layers of kind `kind`, in the arena.
const char *port_of_kind(Arena *arena, const char *port, uint32_t kind);
// The name of `port` for layer `layer` of the shard, in the arena: "k_03".
const char *port_of_layer(Arena *arena, const char *port, uint32_t layer);
// Whether an input of this name is a cache of the rows form.
bool port_is_cache(Str name);

#endif
