// A getter gives a value of another type when nothing is lost, and refuses otherwise.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "gguf/spec.h"

// One stored item and what each getter makes of it; `gives` names those that accept it.
typedef struct {
    GgufType type;
    uint64_t bits;
    const char *gives; // of "u", "i", "f", "b"
    uint64_t u64;
    int64_t i64;
    double f64;
} Item;

// clang-format off
static const Item items[] = {
    {GGUF_U8,   0,                             "uif", 0, 0, 0},
    {GGUF_U8,   255,                           "uif", 255, 255, 255},
    {GGUF_I8,   127,                           "uif", 127, 127, 127},
    {GGUF_I8,   0xFF,                          "if",  0, -1, -1},
    {GGUF_I8,   0x80,                          "if",  0, -128, -128},
    {GGUF_U16,  65535,                         "uif", 65535, 65535, 65535},
    {GGUF_I16,  0x8000,                        "if",  0, -32768, -32768},
    {GGUF_U32,  UINT32_MAX,                    "uif", UINT32_MAX, UINT32_MAX, UINT32_MAX},
    {GGUF_I32,  0x80000000,                    "if",  0, INT32_MIN, INT32_MIN},
    {GGUF_I32,  0x7FFFFFFF,                    "uif", INT32_MAX, INT32_MAX, INT32_MAX},
    {GGUF_U64,  UINT64_C(1) << 53,             "uif", UINT64_C(1) << 53, INT64_C(1) << 53, 0x1p53},
    {GGUF_U64,  (UINT64_C(1) << 53) + 1,       "ui",  (UINT64_C(1) << 53) + 1, (INT64_C(1) << 53) + 1, 0},
    {GGUF_U64,  INT64_MAX,                     "ui",  INT64_MAX, INT64_MAX, 0},
    {GGUF_U64,  UINT64_C(1) << 63,             "uf",  UINT64_C(1) << 63, 0, 0x1p63},
    {GGUF_U64,  UINT64_MAX,                    "u",   UINT64_MAX, 0, 0},
    {GGUF_I64,  UINT64_C(1) << 63,             "if",  0, INT64_MIN, -0x1p63},
    {GGUF_I64,  UINT64_MAX,                    "if",  0, -1, -1},
    {GGUF_I64,  (UINT64_C(1) << 63) + 1,       "i",   0, -INT64_MAX, 0},
    {GGUF_F32,  0x3FC00000,                    "f",   0, 0, 1.5},
    {GGUF_F32,  0x40000000,                    "f",   0, 0, 2}, // a whole number is still not an integer
    {GGUF_F64,  UINT64_C(0xC004000000000000),  "f",   0, 0, -2.5},
    {GGUF_BOOL, 1,                             "b",   0, 0, 0},
};
// clang-format on

static const unsigned item_bytes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_U64] = 8, [GGUF_BOOL] = 1, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static void check_item(const Item *item, const GgufKey *k, size_t at) {
    uint64_t u64 = 0;
    int64_t i64 = 0;
    double f64 = 0;
    bool is_true = false;
    Str str;
    assert_int_equal(gguf_u64(k, at, &u64), strchr(item->gives, 'u') != NULL);
    assert_int_equal(gguf_i64(k, at, &i64), strchr(item->gives, 'i') != NULL);
    assert_int_equal(gguf_f64(k, at, &f64), strchr(item->gives, 'f') != NULL);
    assert_int_equal(gguf_bool(k, at, &is_true), strchr(item->gives, 'b') != NULL);
    assert_false(gguf_str(k, at, &str));
    if (strchr(item->gives, 'u')) assert_true(u64 == item->u64);
    if (strchr(item->gives, 'i')) assert_true(i64 == item->i64);
    if (strchr(item->gives, 'f')) assert_true(f64 == item->f64);
    if (strchr(item->gives, 'b')) assert_true(is_true);
}

// Each item alone and as the second of an array.
static void test_items_of_each_type(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        const Item *item = &items[i];
        unsigned n = item_bytes[item->type];
        FileSpec s;
        spec_init(&s);
        StrBuf value = {0};
        put_le(&value, item->bits, n);
        spec_add_key(&s, "alone", item->type, value.at, value.len);
        value.len = 0;
        put_le(&value, item->type, 4);
        put_le(&value, 2, 8);
        put_le(&value, 0, n);
        put_le(&value, item->bits, n);
        spec_add_key(&s, "second", GGUF_ARRAY, value.at, value.len);
        strbuf_free(&value);
        Str bytes = spec_bytes(&s);
        Gguf g;
        Err err = {0};
        if (!gguf_open_bytes(&g, &s.arena, bytes.at, bytes.len, "items", &err))
            fail_msg("%s", err.text);
        check_item(item, &g.keys[0], 0);
        check_item(item, &g.keys[1], 1);
        double any;
        uint64_t whole;
        bool is_true;
        assert_false(gguf_f64(&g.keys[0], 1, &any));
        assert_false(gguf_u64(&g.keys[1], 2, &whole));
        assert_false(gguf_bool(&g.keys[1], SIZE_MAX, &is_true));
        gguf_close(&g);
        spec_free(&s);
    }
}

static void test_string_gives_only_a_string(void **state) {
    (void)state;
    FileSpec s;
    spec_init(&s);
    spec_add_string(&s, "number", "12");
    Str bytes = spec_bytes(&s), str;
    Gguf g;
    assert_true(gguf_open_bytes(&g, &s.arena, bytes.at, bytes.len, "string", NULL));
    uint64_t u64;
    int64_t i64;
    double f64;
    bool is_true;
    assert_true(gguf_str(&g.keys[0], 0, &str));
    assert_true(str_is(str, "12"));
    assert_false(gguf_str(&g.keys[0], 1, &str));
    assert_false(gguf_u64(&g.keys[0], 0, &u64));
    assert_false(gguf_i64(&g.keys[0], 0, &i64));
    assert_false(gguf_f64(&g.keys[0], 0, &f64));
    assert_false(gguf_bool(&g.keys[0], 0, &is_true));
    gguf_close(&g);
    spec_free(&s);
}

static void test_type_names(void **state) {
    (void)state;
    assert_string_equal(gguf_type_name(GGUF_U8), "u8");
    assert_string_equal(gguf_type_name(GGUF_STRING), "string");
    assert_string_equal(gguf_type_name(GGUF_F64), "f64");
    assert_string_equal(gguf_type_name(GGUF_TYPE_COUNT), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_of_each_type),
        cmocka_unit_test(test_string_gives_only_a_string),
        cmocka_unit_test(test_type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
