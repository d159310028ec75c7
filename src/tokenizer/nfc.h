// nfc.h — Unicode's Normalization Form C (UAX 15): a letter and its marks become one character
// where there is one. Some published tokenizers normalize text in this way before they cut it.
//
// The tables are written by scripts/nfc_tables.py when lathe is built.
#ifndef LATHE_TOKENIZER_NFC_H
#define LATHE_TOKENIZER_NFC_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

// A character with a canonical decomposition or a combining class; in the order of `code`.
typedef struct {
    uint32_t code, first, second; // 0 where there is no first or second part
    uint8_t combining_class;
} NfcRow;
extern const NfcRow nfc_rows[];
extern const size_t nfc_n_rows;

// Two characters that compose; in the order of (first, second).
typedef struct {
    uint32_t first, second, composed;
} NfcPair;
extern const NfcPair nfc_pairs[];
extern const size_t nfc_n_pairs;

// `text`, which is UTF-8, in NFC: returns `text` itself if it is in NFC already, otherwise a view
// into `scratch`, whose contents are replaced. Time grows as n log n.
Str nfc_normalize(Str text, StrBuf *scratch);

#endif
