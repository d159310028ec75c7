"""llama.cpp as an oracle: the wheel `xllamacpp` carries all of it, and its extension module exports the C API of
llama.h, which ctypes calls. Key/value cache in F32 and no flash attention, so that what is compared is the model.

Structs are passed by value and differ from version to version. They are opaque here, larger than any has been; the few
numbers that are set are found by their place in llama_context_params, and their defaults are checked before."""

import ctypes
import pathlib

import numpy
import xllamacpp

GGML_F32 = 0
FLASH_OFF = 0

# Places in llama_context_params, in units of four bytes, and what llama_context_default_params puts there.
N_CTX, N_BATCH, N_UBATCH, N_THREADS, N_THREADS_BATCH, FLASH, TYPE_K, TYPE_V = 0, 1, 2, 7, 8, 13, 26, 27
# float index: negative says "the model's"
YARN = {"ext_factor": 16, "beta_fast": 18, "beta_slow": 19}
DEFAULTS = {N_CTX: 512, N_BATCH: 2048, N_UBATCH: 512, N_THREADS: 4, N_THREADS_BATCH: 4, FLASH: -1, TYPE_K: 1, TYPE_V: 1}


class Params(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 1024)]

    def words(self, kind):
        return ctypes.cast(ctypes.byref(self), ctypes.POINTER(kind))


class Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def load_library():
    handle, i32 = ctypes.c_void_p, ctypes.c_int32
    prototypes = {
        "llama_log_set": (None, [LOG, handle]),
        "llama_backend_init": (None, []),
        "llama_model_default_params": (Params, []),
        "llama_context_default_params": (Params, []),
        "llama_model_load_from_file": (handle, [ctypes.c_char_p, Params]),
        "llama_init_from_model": (handle, [handle, Params]),
        "llama_model_get_vocab": (handle, [handle]),
        "llama_vocab_n_tokens": (i32, [handle]),
        "llama_tokenize": (i32, [handle, ctypes.c_char_p, i32, ctypes.c_void_p, i32, ctypes.c_bool, ctypes.c_bool]),
        "llama_detokenize": (i32, [handle, ctypes.c_void_p, i32, ctypes.c_char_p, i32, ctypes.c_bool, ctypes.c_bool]),
        "llama_batch_init": (Batch, [i32, i32, i32]),
        "llama_batch_free": (None, [Batch]),
        "llama_decode": (i32, [handle, Batch]),
        "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [handle, i32]),
        "llama_free": (None, [handle]),
        "llama_model_free": (None, [handle]),
    }
    library = ctypes.CDLL(str(pathlib.Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))
    for name, (result, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


LIBRARY = load_library()
MESSAGES = []


@LOG
def remember(level, text, context):
    MESSAGES.append(text.decode(errors="replace"))
    del MESSAGES[:-50]


LIBRARY.llama_log_set(remember, None)
LIBRARY.llama_backend_init()


class LlamaCpp:
    """One model with one sequence. `context` decides LongRoPE's factor set, as in lathe's reference. `yarn` sets what
    llama.cpp has no key for in every architecture."""

    def __init__(self, path, context, threads=1, yarn={}):
        self.position, self.context = 0, context
        self.handle = None
        self.model = LIBRARY.llama_model_load_from_file(str(path).encode(), LIBRARY.llama_model_default_params())
        assert self.model, "llama.cpp cannot load " + str(path) + ":\n" + "".join(MESSAGES)
        self.vocabulary = LIBRARY.llama_model_get_vocab(self.model)
        self.n_vocab = LIBRARY.llama_vocab_n_tokens(self.vocabulary)
        params = LIBRARY.llama_context_default_params()
        ints, floats = params.words(ctypes.c_int32), params.words(ctypes.c_float)
        assert {i: ints[i] for i in DEFAULTS} == DEFAULTS, "llama_context_params has changed"
        assert all(floats[i] == -1 for i in YARN.values()), "llama_context_params has changed"
        for name, value in yarn.items():
            floats[YARN[name]] = value
        ints[N_CTX] = ints[N_BATCH] = context
        ints[N_UBATCH] = min(context, 512)
        ints[N_THREADS] = ints[N_THREADS_BATCH] = threads
        ints[FLASH], ints[TYPE_K], ints[TYPE_V] = FLASH_OFF, GGML_F32, GGML_F32
        self.handle = LIBRARY.llama_init_from_model(self.model, params)
        assert self.handle, "".join(MESSAGES)

    def close(self):
        LIBRARY.llama_free(self.handle)
        LIBRARY.llama_model_free(self.model)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()

    def tokenize(self, text, add_special=False, parse_special=True):
        raw = text.encode()
        room = len(raw) + 16
        ids = (ctypes.c_int32 * room)()
        n = LIBRARY.llama_tokenize(self.vocabulary, raw, len(raw), ids, room, add_special, parse_special)
        assert n >= 0
        return list(ids[:n])

    def text(self, ids):
        given, out = (ctypes.c_int32 * len(ids))(*ids), ctypes.create_string_buffer(64 * len(ids))
        n = LIBRARY.llama_detokenize(self.vocabulary, given, len(ids), out, len(out), False, True)
        assert n >= 0
        return out.raw[:n].decode()

    def feed(self, ids):
        """Logits [len(ids), n_vocab] after each of `ids` at the next positions."""
        assert self.position + len(ids) <= self.context
        batch = LIBRARY.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.logits[i] = token, self.position + i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        assert LIBRARY.llama_decode(self.handle, batch) == 0
        self.position += len(ids)
        rows = [LIBRARY.llama_get_logits_ith(self.handle, i) for i in range(len(ids))]
        logits = numpy.stack([numpy.ctypeslib.as_array(row, (self.n_vocab,)).copy() for row in rows])
        LIBRARY.llama_batch_free(batch)
        return logits
