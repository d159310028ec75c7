// Packages that are wrong in one way each: every one is refused, with words that say what is wrong.
//
// The package is written from a sheet (sheet.h) with one line replaced. Fact sheet "Core ML
// package", sections 1.2, 2 and 3, says what makes a package invalid; section 6.2 what coremltools
// refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mlpackage/package.h"
#include "mlpackage/scratch.h"
#include "mlpackage/sheet.h"

static const char manifest[] =
    "{\"fileFormatVersion\": \"1.0.0\",\n"
    " \"itemInfoEntries\": {\n"
    "  \"A\": {\"author\": \"com.apple.CoreML\", \"description\": \"the model\",\n"
    "   \"name\": \"model.mlmodel\", \"path\": \"com.apple.CoreML/model.mlmodel\"},\n"
    "  \"B\": {\"author\": \"com.apple.CoreML\", \"description\": \"the weights\",\n"
    "   \"name\": \"weights\", \"path\": \"com.apple.CoreML/weights\"}},\n"
    " \"rootModelIdentifier\": \"A\"}\n";

// A package as text and bytes; NULL: left out.
typedef struct {
    const char *manifest, *sheet;
    Str model; // instead of the sheet, when not empty
    const unsigned char *weights;
    size_t n_weights;
} Parts;

typedef struct {
    Scratch scratch;
    Arena arena;
    const char *package, *manifest, *model, *weights; // paths
    unsigned char good_weights[SHEET_EXAMPLE_WEIGHT_BYTES];
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    Fixture *t = &fixture;
    *t = (Fixture){.scratch = scratch_open("coreml-malformed")};
    Arena *a = &t->arena;
    t->package = path_join(a, t->scratch.path, "p.mlpackage");
    t->manifest = path_join(a, t->package, "Manifest.json");
    const char *data = path_join(a, t->package, "Data");
    const char *coreml = path_join(a, data, "com.apple.CoreML");
    const char *weights = path_join(a, coreml, "weights");
    t->model = path_join(a, coreml, "model.mlmodel");
    t->weights = path_join(a, weights, "weight.bin");
    sheet_example_weights(t->good_weights);
    assert_true(dir_make(t->package, NULL) && dir_make(data, NULL) && dir_make(coreml, NULL) &&
                dir_make(weights, NULL));
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    Fixture *t = *state;
    scratch_close(&t->scratch);
    arena_free(&t->arena);
    return 0;
}

// Written without a sync: a table of cases is many files.
static void put_file(const char *path, const void *bytes, size_t n) {
    unlink(path);
    if (!bytes) return;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static bool opens(Fixture *t, const Parts *parts, Err *err) {
    StrBuf model = {0};
    if (parts->model.at)
        strbuf_add(&model, parts->model);
    else if (parts->sheet)
        sheet_encode(parts->sheet, &model);
    put_file(t->manifest, parts->manifest, parts->manifest ? strlen(parts->manifest) : 0);
    put_file(t->model, parts->sheet || parts->model.at ? (model.at ? model.at : "") : NULL,
             model.len);
    put_file(t->weights, parts->weights, parts->n_weights);
    strbuf_free(&model);
    Arena arena = {0};
    Package p;
    *err = (Err){0};
    bool ok = package_open(&p, &arena, t->package, err);
    if (ok) package_close(&p);
    arena_free(&arena);
    return ok;
}

static Parts good_parts(const Fixture *t, const char *sheet) {
    return (Parts){manifest, sheet, {0}, t->good_weights, sizeof t->good_weights};
}

static void assert_refused(Fixture *t, const Parts *parts, const char *what, const char *words) {
    Err err;
    if (opens(t, parts, &err)) fail_msg("accepted: %s", what);
    if (!strstr(err.text, words)) fail_msg("%s: expected '%s', got '%s'", what, words, err.text);
    assert_int_equal(err.kind, ERR_FORMAT);
    if (strncmp(err.text, t->scratch.path, strlen(t->scratch.path)) != 0)
        fail_msg("%s: '%s' does not name the package", what, err.text);
}

static void test_the_good_ones_open(void **state) {
    Fixture *t = *state;
    const char *sheets[] = {sheet_example, sheet_states};
    for (size_t i = 0; i < COUNT_OF(sheets); i++) {
        Parts parts = good_parts(t, sheets[i]);
        Err err;
        if (!opens(t, &parts, &err)) fail_msg("%s", err.text);
    }
}

// ---- one line of the manifest or of a sheet

typedef struct {
    const char *what;
    const char *line, *by;
    const char *words;
} Case;

static const Case manifest_cases[] = {
    {"no JSON", "{\"fileFormatVersion\"", "<fileFormatVersion", "Manifest.json: line 1"},
    {"an array", manifest, "[]", "expected a JSON object"},
    {"no version", "\"fileFormatVersion\"", "\"other\"", "fileFormatVersion is missing"},
    {"version 2", "1.0.0", "2.0.0", "fileFormatVersion is 2.0.0, expected \"1.0.0\""},
    {"version as a number", "\"1.0.0\"", "1", "fileFormatVersion is missing"},
    {"a key twice", "\"rootModelIdentifier\"", "\"fileFormatVersion\"", "duplicate"},
    {"no items", "itemInfoEntries", "items", "no itemInfoEntries"},
    {"items in an array", "\"itemInfoEntries\": {", "\"itemInfoEntries\": 1, \"x\": {",
     "no itemInfoEntries"},
    {"no root", "rootModelIdentifier", "root", "no rootModelIdentifier"},
    {"root of no item", "\"rootModelIdentifier\": \"A\"", "\"rootModelIdentifier\": \"C\"",
     "rootModelIdentifier 'C' names no item"},
    {"an item that is text", "\"itemInfoEntries\": {", "\"itemInfoEntries\": {\"C\": \"x\",",
     "item 'C': member \"author\" missing or not a string"},
    {"root without a path", "\"path\": \"com.apple.CoreML/model.mlmodel\"", "\"at\": \"x\"",
     "item 'A': member \"path\" missing"},
    {"root without a name", "\"name\": \"model.mlmodel\"", "\"at\": \"x\"",
     "item 'A': member \"name\" missing"},
    {"an item without an author",
     "\"author\": \"com.apple.CoreML\", \"description\": \"the weights",
     "\"description\": \"the weights", "item 'B': member \"author\" missing"},
    {"an item without a description", "\"description\": \"the weights\",", "",
     "item 'B': member \"description\" missing"},
    {"a path that is a number", "\"com.apple.CoreML/weights\"", "5",
     "item 'B': member \"path\" missing or not a string"},
    {"an absolute path", "com.apple.CoreML/model.mlmodel", "/etc/passwd",
     "item 'A': path '/etc/passwd' does not stay inside the package"},
    {"a path upwards", "com.apple.CoreML/model.mlmodel", "../../model.mlmodel",
     "item 'A': path '../../model.mlmodel' does not stay inside the package"},
    {"a path upwards in the middle", "com.apple.CoreML/weights", "a/../../weights",
     "item 'B': path 'a/../../weights' does not stay inside the package"},
    {"an empty path", "com.apple.CoreML/model.mlmodel", "", "item 'A': path ''"},
    {"a model that is not there", "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/other",
     "com.apple.CoreML/other"},
    {"a model that is a folder", "com.apple.CoreML/model.mlmodel", "com.apple.CoreML",
     "com.apple.CoreML: not a regular file"},
    {"no weights item", "\"name\": \"weights\"", "\"name\": \"wait\"",
     "'@model_path/weights/weight.bin', which the package lacks"},
    {"weights in another folder", "com.apple.CoreML/weights", "com.apple.CoreML/none",
     "which the package lacks"},
};

static void test_manifest(void **state) {
    Fixture *t = *state;
    for (size_t i = 0; i < COUNT_OF(manifest_cases); i++) {
        const Case *c = &manifest_cases[i];
        char *text = sheet_replace(manifest, c->line, c->by);
        Parts parts = good_parts(t, sheet_example);
        parts.manifest = text;
        assert_refused(t, &parts, c->what, c->words);
        free(text);
    }
}

static const Case model_cases[] = {
    {"no specification version", "1 specificationVersion 9\n", "", "spec version 0, expected 6"},
    {"specification version 5", "specificationVersion 9", "v 5",
     "spec version 5, expected 6 to 10"},
    {"specification version 11", "specificationVersion 9", "v 11", "spec version 11"},
    {"an op of a later version", "specificationVersion 9", "v 8",
     "op 'constexpr_blockwise_shift_scale' is not one of specification version 8"},
    {"a neural network", "502 mlProgram", "500 neuralNetwork", "expected an ML Program"},
    {"the program as a number", "502 mlProgram", "502 mlProgram 5\n503 mlProgram",
     "the model is cut off or malformed"},
    {"two programs", "502 mlProgram\n", "502 mlProgram\n502 mlProgram\n", "two ML Programs"},
    {"no program version", "  1 version 1\n", "", "program version 0, expected 1"},
    {"program version 2", "1 version 1", "1 version 2", "program version 2, expected 1"},
    {"no function", "  2 functions", "  9 functions", "a single function must be called main"},
    {"another function", "1 key \"main\"", "1 key \"other\"",
     "a single function must be called main"},
    {"a function without a name", "    1 key \"main\"\n", "", "a function without a name"},

    // wire
    {"a length beyond the file", "1 specificationVersion 9", "raw x1289FF7F",
     "the model is cut off or malformed"},
    {"the largest length", "1 specificationVersion 9", "raw x12FFFFFFFFFFFFFFFFFF01",
     "the model is cut off or malformed"},
    {"a number of eleven bytes", "1 specificationVersion 9",
     "raw x08FFFFFFFFFFFFFFFFFFFF\n1 specificationVersion 9", "the model is cut off or malformed"},
    {"a field numbered 0", "1 specificationVersion 9", "raw x0001", "the model is cut off"},
    {"a group", "1 specificationVersion 9", "raw x0B0C", "the model is cut off"},
    {"wire type 7", "1 specificationVersion 9", "raw x0F", "the model is cut off"},
    {"an op that ends early", "1 type \"conv\"", "raw x0AFF7F", "an operation is cut off"},
    {"an op's type as a number", "1 type \"conv\"", "1 type 5", "an operation without a type"},
    {"an op that is a number", "          3 operations\n            1 type \"conv\"",
     "          3 operations 5\n          3 operations\n            1 type \"conv\"",
     "a block is cut off or malformed"},

    // functions and ops
    {"an unknown opset", "2 opset \"CoreML8\"", "2 opset \"CoreML99\"",
     "no block for opset 'CoreML99'"},
    {"an unused block", "1 key \"CoreML8\"", "1 key \"CoreML7\"", "no block for opset 'CoreML8'"},
    {"an op without a type", "            1 type \"conv\"\n", "", "an operation without a type"},
    {"an unknown op", "1 type \"conv\"", "1 type \"frobnicate\"", "op 'frobnicate' is not known"},
    {"nested blocks", "2 inputs ARG(x = x)", "4 blocks", "nested blocks"},
    {"an unknown parameter", "ARG(groups =", "ARG(group =", "'group' is not a parameter of conv"},
    {"a parameter twice", "ARG(dilations = y_dilations_0)", "ARG(strides = y_dilations_0)",
     "parameter 'strides' is given twice"},
    {"a parameter missing", "            2 inputs ARG(weight = w)\n", "", "conv 'y': weight"},
    {"a run-time value for a constant", "ARG(pad_type = y_pad_type_0)", "ARG(pad_type = x)",
     "conv 'y': pad_type"},
    {"a parameter without a value", "2 inputs ARG(groups = y_groups_0)",
     "2 inputs\n              1 key \"groups\"\n              2 value",
     "an argument without a value"},
    {"an attribute on an ordinary op", "            2 inputs ARG(groups = y_groups_0)",
     "            5 attributes\n              1 key \"groups\"\n              2 value STR(\"1\")",
     "conv has an attribute 'groups'"},
    {"a forward reference", "ARG(weight = w)", "ARG(weight = y)",
     "'y' is used before it is defined"},
    {"an undefined name", "ARG(x = x)", "ARG(x = nobody)", "'nobody' is used before it is defined"},
    {"an undefined output", "2 outputs \"y\"", "2 outputs \"z\"", "output 'z' is not defined"},
    {"no output", "          2 outputs \"y\"\n", "",
     "the description names 'y', which function 'main' lacks"},
    {"a result without a name", "              1 name \"w\"\n", "", "a value without a name"},
    {"an escape sequence in a name", "1 type \"conv\"", "1 type x1B5B324A",
     "op '?[2J' is not known"},
    {"an op's name that is a number", "2 value STR(\"w\")",
     "2 value\n                2 type TT(23)\n                3 immediateValue\n"
     "                  1 tensor\n                    2 ints\n                      1 values [1]",
     "an op's name that is not a string"},

    // types
    {"another result shape", "2 type TT(10; 1,8,1,1)", "2 type TT(10; 1,9,1,1)",
     "the description states 'y' as fp16[1, 8, 1, 1], function 'main' has fp16[1, 9, 1, 1]"},
    {"another result dtype", "2 type TT(10; 1,8,1,1)", "2 type TT(11; 1,8,1,1)",
     "function 'main' has fp32[1, 8, 1, 1]"},
    {"an unknown dtype", "2 type TT(10; 1,8,1,1)", "2 type TT(99; 1,8,1,1)",
     "dtype 99 is not known"},
    {"no dtype", "2 type TT(10; 1,8,1,1)", "2 type\n                1 tensorType",
     "a tensor type without a dtype"},
    {"rank of other dims", "2 type TT(10; 1,8,1,1)",
     "2 type\n                1 tensorType\n                  1 dataType 10\n"
     "                  2 rank 3",
     "a tensor type states rank 3 but has 0 dimensions"},
    {"unknown rank", "2 type TT(10; 1,8,1,1)",
     "2 type\n                1 tensorType\n                  1 dataType 10\n"
     "                  2 rank 18446744073709551615",
     "a tensor type states rank -1 but has 0 dimensions"},
    {"seven dimensions", "2 type TT(10; 1,8,1,1)", "2 type TT(10; 1,8,1,1,1,1,1)",
     "a tensor of more than 6 dimensions"},
    {"six dimensions to compute with", "2 type TT(10; 1,4,1,1)", "2 type TT(10; 1,4,1,1,1,1)",
     "function \'main\' has fp16[1, 4, 1, 1, 1, 1]"},
    {"the largest dimension", "2 type TT(10; 1,8,1,1)", "2 type TT(10; 1,18446744073709551615,1,1)",
     "a dimension of 18446744073709551615"},
    {"a tensor attribute", "2 type TT(10; 1,8,1,1)",
     "2 type\n                1 tensorType\n                  1 dataType 10\n"
     "                  4 attributes",
     "a tensor type with attributes"},
    {"a list", "2 type TT(10; 1,8,1,1)", "2 type\n                2 listType",
     "a value type that is neither tensor nor state"},
    {"an open input", "2 type TT(10; 1,4,1,1)",
     "2 type\n          1 tensorType\n            1 dataType 10\n            2 rank 1\n"
     "            3 dimensions\n              2 unknown",
     "function \'main\' has fp16[?]"},
    {"a scalar input", "2 type TT(10; 1,4,1,1)", "2 type TT(10)", "function 'main' has fp16"},
    {"an int8 input", "2 type TT(10; 1,4,1,1)", "2 type TT(21; 1,4,1,1)",
     "function 'main' has int8[1, 4, 1, 1]"},

    // immediate values
    {"a constant without content", "2 value STR(\"valid\")",
     "2 value\n                2 type TT(2)", "a value has no content"},
    {"fp16 among floats", "7 bytes", "1 floats",
     "a constant of fp16 in member 1 of its tensor, expected 7"},
    {"one byte of fp16", "values x0038", "values x38", "has 1 bytes, expected 2"},
    {"two values of fp16", "values x0038", "values x00380038", "has 4 bytes, expected 2"},
    {"a number of the wrong width among floats",
     "                  1 tensor\n"
     "                    2 ints\n                      1 values [1]",
     "                  1 tensor\n                    2 ints\n                      raw "
     "x0D01000000",
     "a list of integers is cut off"},
    {"content twice", "1 values x0038", "1 values x0038\n                          1 values x0038",
     "a constant's content is cut off or malformed"},
    {"too few integers", "[0,0,0,0]", "[0,0,0]", "a constant has 3 items, expected 4 by its shape"},
    {"too many integers", "[0,0,0,0]", "[0,0,0,0,0]",
     "a constant has more items than its shape, 4"},
    {"a cut integer", "values [0,0,0,0]", "values x000080", "a list of integers is cut off"},
    {"a value and result that differ",
     "3 outputs\n              1 name \"y_groups_0\"\n"
     "              2 type TT(23)",
     "3 outputs\n              1 name \"y_groups_0\"\n              2 type TT(23; 1)",
     "const 'y_groups_0': value and result differ in type"},
    {"a const without a value",
     "            5 attributes\n              1 key \"val\"\n"
     "              2 value STR(\"valid\")\n",
     "", "const 'y_pad_type_0' does not define one constant"},
    {"an immediate tuple",
     "                    3 immediateValue\n"
     "                      1 tensor\n                        7 bytes",
     "                    3 immediateValue\n"
     "                      2 tuple\n                        7 bytes",
     "an immediate value is not a tensor, expected one"},
    {"immediate and blob", "                      2 offset 64",
     "                      2 offset 64\n                    3 immediateValue\n"
     "                      1 tensor\n                        7 bytes",
     "a value has two contents"},

    // references into the weight file
    {"offset 0", "2 offset 64", "2 offset 0", "weight record at offset 0, expected"},
    {"offset not aligned", "2 offset 64", "2 offset 65", "weight record at offset 65, expected"},
    {"offset of the data", "2 offset 64", "2 offset 128",
     "weight record at offset 128 is outside weight.bin (160 bytes)"},
    {"offset beyond the file", "2 offset 64", "2 offset 64000",
     "weight record at offset 64000 is outside weight.bin (160 bytes)"},
    {"the largest offset", "2 offset 64", "2 offset 18446744073709551552",
     "weight record at offset 18446744073709551552 is outside"},
    {"another file", "weights/weight.bin", "weights/other.bin",
     "constant in file '@model_path/weights/other.bin', which the package lacks"},
    {"a file above the folder", "weights/weight.bin", "weights/../weight.bin",
     "constant in file '@model_path/weights/../weight.bin', expected one in @model_path/weights/"},
    {"a file below the folder", "weights/weight.bin", "weights/a/weight.bin",
     "expected one in @model_path/weights/"},
    {"no name", "weights/weight.bin", "weights/", "expected one in @model_path/weights/"},
    {"the folder's parent", "weights/weight.bin", "weights/..",
     "expected one in @model_path/weights/"},
    {"a file elsewhere", "@model_path/weights/weight.bin", "/etc/passwd",
     "constant in file '/etc/passwd'"},
    {"more weights than the record has", "2 type TT(21; 8,4,1,1)", "2 type TT(21; 8,5,1,1)",
     "output 'w' is declared fp16[8, 4, 1, 1] but comes out as fp16[8, 5, 1, 1]"},
    {"a bool in the weight file", "2 type TT(21; 8,4,1,1)", "2 type TT(1; 8,4,1,1)",
     "of type bool[8, 4, 1, 1] cannot live in a weight file"},

    // the description
    {"no description", "2 description", "3 description",
     "the description has 0 inputs and 0 outputs, but function 'main' has 1 and 1"},
    {"another input name", "  1 input\n    1 name \"x\"", "  1 input\n    1 name \"z\"",
     "the description names 'z', which function 'main' lacks"},
    {"another input shape", "1 shape [1,4,1,1]", "1 shape [1,4,1,2]",
     "the description states 'x' as fp16[1, 4, 1, 2], function 'main' has fp16[1, 4, 1, 1]"},
    {"another input dtype", "1 shape [1,4,1,1]\n        2 dataType 65552",
     "1 shape [1,4,1,1]\n        2 dataType 65568",
     "the description states 'x' as fp32[1, 4, 1, 1]"},
    {"another output dtype", "1 shape [1,8,1,1]\n        2 dataType 65552",
     "1 shape [1,8,1,1]\n        2 dataType 131104",
     "the description states 'y' as int32[1, 8, 1, 1]"},
    {"an unknown feature dtype", "1 shape [1,8,1,1]\n        2 dataType 65552",
     "1 shape [1,8,1,1]\n        2 dataType 7", "'y' has array type 7"},
    {"an input without a shape", "        1 shape [1,4,1,1]\n", "", "states 'x' as fp16,"},
    {"an image", "      5 multiArrayType\n        1 shape [1,4,1,1]",
     "      4 imageType\n        1 shape [1,4,1,1]", "'x' must be a multi-array"},
    {"an input of an open shape", "1 shape [1,4,1,1]", "1 shape [1,4,1,1]\n        31 shapeRange",
     "'x' has a flexible shape"},
    {"an output too many", "  10 output\n    1 name \"y\"",
     "  10 output\n    1 name \"y\"\n    3 type\n      5 multiArrayType\n"
     "        1 shape [1,8,1,1]\n        2 dataType 65552\n  10 output\n    1 name \"y\"",
     "the description has 1 inputs and 2 outputs, but function 'main' has 1 and 1"},
    {"a default function that is not there", "502 mlProgram",
     "2 description\n  21 defaultFunctionName \"other\"\n502 mlProgram", "two descriptions"},
};

// A value of sheet_states from where it is defined to where it is used.
#define VALUE(name)                                                                                \
    "1 name \"" name "\"\n              2 type TT(10; 1,32)\n            5 attributes\n"           \
    "              1 key \"name\"\n              2 value STR(\"now\")\n          3 operations\n"   \
    "            1 type \"add\"\n            2 inputs ARG(x = " name ")"

static const Case state_cases[] = {
    {"a value defined twice", VALUE("now"), VALUE("y"), "'y' is defined twice"},
    {"a reserved word as a name", VALUE("now"), VALUE("tensor"), "'tensor' is not an identifier"},
    {"another shape within", "1 name \"now\"\n              2 type TT(10; 1,32)",
     "1 name \"now\"\n              2 type TT(10; 1,33)",
     "'now' is declared fp16[1, 33] but comes out as fp16[1, 32]"},
    {"another dtype within", "1 name \"now\"\n              2 type TT(10; 1,32)",
     "1 name \"now\"\n              2 type TT(11; 1,32)",
     "'now' is declared fp32[1, 32] but comes out as fp16[1, 32]"},
    {"a name with a space", VALUE("now"), VALUE("n w"), "'n w' is not an identifier"},
    {"a name that begins with a number", VALUE("now"), VALUE("1st"), "'1st' is not an identifier"},
    {"no default function", "  21 defaultFunctionName \"step\"\n", "",
     "no default function (functions: 2)"},
    {"an unknown default function", "defaultFunctionName \"step\"", "n \"jump\"",
     "the default function 'jump' does not exist"},
    {"before states", "specificationVersion 9", "v 8", "specification version 8"},
    {"a described function the program lacks", "    1 name \"look\"", "    1 name \"listen\"",
     "the description has function 'listen', which the program lacks"},
    {"a function described twice", "    1 name \"look\"", "    1 name \"step\"",
     "the description names 'y', which function 'step' lacks"},
    {"a function defined twice", "    1 key \"look\"", "    1 key \"step\"",
     "the description has function 'look', which the program lacks"},
    {"a third function", "502 mlProgram\n",
     "502 mlProgram\n  2 functions\n    1 key \"main\"\n    2 value\n      2 opset \"CoreML8\"\n"
     "      3 block_specializations\n        1 key \"CoreML8\"\n",
     "the description has 2 functions, the program 3"},
    {"a function described twice with its ports",
     "    1 name \"step\"\n    2 input\n      1 name \"x\"\n      3 type\n"
     "        5 multiArrayType\n          1 shape [1,32]\n          2 dataType 65552\n"
     "    3 output\n      1 name \"sum\"",
     "    1 name \"look\"\n    2 input\n      1 name \"y\"\n      3 type\n"
     "        5 multiArrayType\n          1 shape [1,32]\n          2 dataType 65552\n"
     "    3 output\n      1 name \"seen\"",
     "the description has function 'look' twice"},
    {"both forms of description", "  21 defaultFunctionName",
     "  1 input\n    1 name \"x\"\n  21 defaultFunctionName", "ports outside its functions"},
    {"a state read as a tensor", "1 name \"now\"\n              2 type TT(10; 1,32)",
     "1 name \"now\"\n              2 type ST(10; 1,32)", "'now' is declared state<fp16[1, 32]>"},
    {"a tensor read as a state",
     "ARG(input = kept)\n            3 outputs\n"
     "              1 name \"now\"",
     "ARG(input = y)\n            3 outputs\n              1 name \"now\"", "read_state 'now'"},
    {"a state added to", "ARG(x = now)", "ARG(x = kept)", "add 'seen'"},
    {"a state as an output", "2 outputs \"seen\"", "2 outputs \"kept\"",
     "the description names 'seen', which function 'look' lacks"},
    {"a write that gives a value",
     "5 attributes\n              1 key \"name\"\n"
     "              2 value STR(\"keep\")",
     "3 outputs\n              1 name \"kept_2\"\n              2 type TT(10; 1,32)",
     "write_state 'kept_2' has 1 outputs, expected 0"},
};

static void try_cases(Fixture *t, const char *sheet, const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *text = sheet_replace(sheet, cases[i].line, cases[i].by);
        Parts parts = good_parts(t, text);
        assert_refused(t, &parts, cases[i].what, cases[i].words);
        free(text);
    }
}

static void test_model(void **state) {
    try_cases(*state, sheet_example, model_cases, COUNT_OF(model_cases));
}

static void test_functions_and_states(void **state) {
    try_cases(*state, sheet_states, state_cases, COUNT_OF(state_cases));
}

// A long name must not push the reason out of the message.
static void test_long_names_leave_room_for_the_reason(void **state) {
    static const Case cases[] = {
        {"an op", "1 type \"conv\"", "1 type \"%s\"", "is not known to lathe"},
        {"an op's name", "2 value STR(\"w\")", "2 value STR(\"%s\")",
         "an op's name of 2000 bytes, expected at most 512"},
        {"an output", "2 outputs \"y\"", "2 outputs \"%s\"", "is not defined"},
        {"a feature", "  1 input\n    1 name \"x\"", "  1 input\n    1 name \"%s\"",
         "which function 'main' lacks"},
    };
    char name[2001], by[2100];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(by, sizeof by, cases[i].by, name);
        Case c = cases[i];
        c.by = by;
        try_cases(*state, sheet_example, &c, 1);
    }
    char value[5000];
    snprintf(value, sizeof value, VALUE("%s"), name, name);
    Case c = {"a value", VALUE("now"), value, "is not an identifier"};
    try_cases(*state, sheet_states, &c, 1);
}

// ---- files

static void test_missing_files(void **state) {
    Fixture *t = *state;
    Parts parts = good_parts(t, sheet_example);
    parts.manifest = NULL;
    assert_refused(t, &parts, "no manifest", "no Manifest.json: not an .mlpackage");
    parts = good_parts(t, NULL);
    assert_refused(t, &parts, "no model", "model.mlmodel: missing, but Manifest.json names it");
    parts = good_parts(t, sheet_example);
    parts.weights = NULL;
    assert_refused(t, &parts, "no weights", "which the package lacks");
    parts.weights = t->good_weights;
    parts.n_weights = 0;
    assert_refused(t, &parts, "empty weights", "weight.bin: not a weight file of version 2");
    parts = good_parts(t, sheet_example);
    parts.model = (Str){"", 0};
    assert_refused(t, &parts, "an empty model", "expected an ML Program");
}

static void test_no_directory(void **state) {
    Fixture *t = *state;
    Arena arena = {0};
    Package p;
    Err err = {0};
    assert_false(package_open(&p, &arena, t->manifest, &err));
    assert_non_null(strstr(err.text, "a file, expected an .mlpackage"));
    assert_int_equal(err.kind, ERR_FORMAT);
    package_close(&p);
    arena_free(&arena);
}

// ---- bytes of the weight file

typedef struct {
    const char *what;
    size_t at, n; // the bytes set, little-endian
    uint64_t value;
    const char *words;
} WeightCase;

static const WeightCase weight_cases[] = {
    {"version 1", 4, 4, 1, "not a weight file of version 2"},
    {"no sentinel", 64, 4, 0xDEADBEEE, "no weight record at offset 64"},
    {"fp16 for int8", 68, 4, 1, "weight record at offset 64 has type 1, expected 4 (int8)"},
    {"a record type there is not", 68, 4, 99, "has type 99, expected 4 (int8)"},
    {"fewer bytes than the shape", 72, 8, 31, "holds 31 bytes, expected 32"},
    {"more bytes than the shape", 72, 8, 33, "holds 33 bytes, expected 32"},
    {"the most bytes", 72, 8, UINT64_MAX, "holds 18446744073709551615 bytes"},
    {"data before its record", 80, 8, 0, "must follow it inside weight.bin"},
    {"data beyond the file", 80, 8, 256, "must follow it inside weight.bin"},
    {"data at the largest offset", 80, 8, UINT64_MAX, "must follow it inside weight.bin"},
    {"padding in whole bytes", 88, 8, 4, "has 4 bits of padding, expected 0"},
};

static void test_weight_file(void **state) {
    Fixture *t = *state;
    for (size_t i = 0; i < COUNT_OF(weight_cases); i++) {
        const WeightCase *c = &weight_cases[i];
        unsigned char bytes[SHEET_EXAMPLE_WEIGHT_BYTES];
        sheet_example_weights(bytes);
        for (size_t k = 0; k < c->n; k++) bytes[c->at + k] = (unsigned char)(c->value >> (8 * k));
        Parts parts = good_parts(t, sheet_example);
        parts.weights = bytes;
        assert_refused(t, &parts, c->what, c->words);
    }
}

static void test_weight_file_cut_anywhere_is_refused(void **state) {
    Fixture *t = *state;
    for (size_t n = 0; n < SHEET_EXAMPLE_WEIGHT_BYTES; n++) {
        Parts parts = good_parts(t, sheet_example);
        parts.n_weights = n;
        assert_refused(t, &parts, "cut", "weight");
    }
}

// ---- any byte of the model

static void test_model_cut_anywhere_is_refused(void **state) {
    Fixture *t = *state;
    const char *sheets[] = {sheet_example, sheet_states};
    for (size_t s = 0; s < COUNT_OF(sheets); s++) {
        StrBuf whole = {0};
        sheet_encode(sheets[s], &whole);
        for (size_t n = 0; n < whole.len; n++) {
            Parts parts = good_parts(t, NULL);
            parts.model = (Str){whole.at, n};
            assert_refused(t, &parts, "cut", "");
        }
        strbuf_free(&whole);
    }
}

// Whatever one byte becomes, the package opens or is refused; nothing outside it is read.
static void test_every_byte_changed_is_survived(void **state) {
    Fixture *t = *state;
    static const unsigned char masks[] = {0x01, 0x80, 0xFF};
    const char *sheets[] = {sheet_example, sheet_states};
    size_t n_refused = 0, n_tried = 0;
    for (size_t s = 0; s < COUNT_OF(sheets); s++) {
        StrBuf whole = {0};
        sheet_encode(sheets[s], &whole);
        for (size_t at = 0; at < whole.len; at++)
            for (size_t m = 0; m < COUNT_OF(masks); m++, n_tried++) {
                whole.at[at] = (char)(whole.at[at] ^ masks[m]);
                Parts parts = good_parts(t, NULL);
                parts.model = strbuf_str(&whole);
                Err err;
                if (!opens(t, &parts, &err)) {
                    assert_int_equal(err.kind, ERR_FORMAT);
                    n_refused++;
                }
                whole.at[at] = (char)(whole.at[at] ^ masks[m]);
            }
        strbuf_free(&whole);
    }
    // What is accepted are other letters in names that mean nothing, and numbers within range.
    assert_true(n_refused > n_tried * 8 / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_good_ones_open),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_functions_and_states),
        cmocka_unit_test(test_long_names_leave_room_for_the_reason),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_weight_file),
        cmocka_unit_test(test_weight_file_cut_anywhere_is_refused),
        cmocka_unit_test(test_model_cut_anywhere_is_refused),
        cmocka_unit_test(test_every_byte_changed_is_survived),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
