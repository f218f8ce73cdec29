/* The JSON of daca_json.c, on this machine: `make -C guest/c test`. */
#include "daca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int faults, passed;

/* What daca.c has for an agent. */
void *daca_alloc(size_t size) { return malloc(size + 1); }
daca_bytes daca_text(const char *text) { return (daca_bytes){text, strlen(text)}; }
bool daca_equal(daca_bytes a, daca_bytes b) { return a.size == b.size && memcmp(a.data, b.data, a.size) == 0; }

static void check(bool holds, const char *what) {
    if (holds) {
        passed++;
    } else {
        faults++;
        printf("this is wrong: %s\n", what);
    }
}

static void nested(size_t depth, bool is_valid) {
    char text[600];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    check(daca_json_valid((daca_bytes){text, 2 * depth}) == is_valid,
          is_valid ? "a deep list" : "a list that is too deep");
}

static void validity(void) {
    static const char *const valid[] = {"null",
                                        " true ",
                                        "-0.5e+7",
                                        "0",
                                        "\"\"",
                                        "[]",
                                        "{}",
                                        "[1, {\"a\": [ ]}, \"\\u00e9\\n\"]",
                                        "{\"a\":1,\"a\":{\"b\":[[],[]]}}",
                                        "\"\xc3\xa9 \xf0\x9f\x98\x80\"",
                                        "\"\\ud83d\\ude00\""};
    static const char *const invalid[] = {"",
                                          " ",
                                          "nul",
                                          "01",
                                          "1.",
                                          "-",
                                          "+1",
                                          ".5",
                                          "1e",
                                          "\"",
                                          "\"\\x\"",
                                          "\"\\u12g4\"",
                                          "\"\n\"",
                                          "[1,]",
                                          "[,1]",
                                          "[1 2]",
                                          "{\"a\"}",
                                          "{\"a\":}",
                                          "{a:1}",
                                          "{\"a\":1,}",
                                          "[}",
                                          "[1]]",
                                          "\"\xff\"",
                                          "\"\xc0\x80\"",
                                          "\"\xed\xa0\x80\"",
                                          "\"\\ud83d\"",
                                          "\"\\ude00\"",
                                          "{\"a\":1",
                                          "truefalse",
                                          "'a'"};
    for (size_t i = 0; i < sizeof(valid) / sizeof(*valid); i++)
        check(daca_json_valid(daca_text(valid[i])), valid[i]);
    for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++)
        check(!daca_json_valid(daca_text(invalid[i])), invalid[i]);
    nested(127, true);
    nested(128, false);
}

static void reading(void) {
    daca_bytes object = daca_text(
        " { \"a\" : [1, \"x,]\" ,{\"b\":2} ] , \"t\\u0065xt\":\"\\\"\\ud83d\\ude00\\u0000\", \"a2\":-7, \"a2\":8 }");
    daca_bytes value, *list, text;
    size_t count;
    int64_t number;
    check(daca_json_field(object, "a", &value) && daca_json_list(value, &list, &count) && count == 3,
          "a list in a field");
    check(daca_equal(list[2], daca_text("{\"b\":2}")), "an element as it was written");
    check(daca_json_field(object, "text", &value) && daca_json_text(value, &text), "a name with an escape");
    check(daca_equal(text, (daca_bytes){"\"\xf0\x9f\x98\x80\0", 6}), "escapes");
    check(daca_json_field(object, "a2", &value) && daca_json_int(value, &number) && number == 8,
          "the last field counts");
    check(!daca_json_field(object, "b", &value) && !daca_json_field(daca_text("[1]"), "b", &value), "no such field");
    check(daca_json_list(daca_text("[ ]"), &list, &count) && count == 0, "an empty list");
    check(!daca_json_list(object, &list, &count) && !daca_json_text(object, &text), "an object is no list and no text");
    check(daca_json_int(daca_text("-9223372036854775808"), &number) && number == INT64_MIN, "the least number");
    check(!daca_json_int(daca_text("9223372036854775808"), &number), "a number that is too large");
    check(!daca_json_int(daca_text("1.0"), &number) && !daca_json_int(daca_text("\"1\""), &number),
          "what is no whole number");
}

static void writing(void) {
    daca_buffer buffer = {0};
    daca_put(&buffer, "[");
    for (int i = 0; i < 100; i++)
        daca_put(&buffer, "0,");
    daca_put_json(&buffer, (daca_bytes){"a\"\\\n\x01\0\xc3\xa9", 8});
    daca_put(&buffer, "]");
    daca_bytes made = daca_taken(&buffer), *list, text;
    size_t count;
    check(daca_json_valid(made) && daca_json_list(made, &list, &count) && count == 101, "a list that was written");
    check(daca_equal(list[100], daca_text("\"a\\\"\\\\\\n\\u0001\\u0000\xc3\xa9\"")), "a text that was written");
    check(daca_json_text(list[100], &text) && text.size == 8, "the same, read again");
}

int main(void) {
    validity();
    reading();
    writing();
    printf("%d passed, %d failed\n", passed, faults);
    return faults > 0;
}
