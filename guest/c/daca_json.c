/* JSON without a tree: a value stays the bytes that were written, and is read where it is needed. */
#include "daca.h"

#include <string.h>

/* The depth that the host's Rust SDK reads, too. */
#define MAX_DEPTH 127

/* --- Reading: each function moves on over what it has read, or says that it is no JSON. --------------------------- */

typedef struct reader {
    const unsigned char *at, *end;
} reader;

static reader reader_of(daca_bytes json) {
    const unsigned char *at = (const unsigned char *)json.data;
    return (reader){at, at + json.size};
}

static int next(const reader *r) { return r->at < r->end ? *r->at : -1; }

static bool takes(reader *r, int character) {
    if (next(r) != character) return false;
    r->at++;
    return true;
}

static void space(reader *r) {
    while (next(r) == ' ' || next(r) == '\n' || next(r) == '\r' || next(r) == '\t')
        r->at++;
}

static bool digits(reader *r) {
    const unsigned char *from = r->at;
    while (next(r) >= '0' && next(r) <= '9')
        r->at++;
    return r->at > from;
}

static bool number(reader *r) {
    takes(r, '-');
    if (!takes(r, '0') && !digits(r)) return false;
    if (takes(r, '.') && !digits(r)) return false;
    if (next(r) == 'e' || next(r) == 'E') {
        r->at++;
        if (next(r) == '+' || next(r) == '-') r->at++;
        return digits(r);
    }
    return true;
}

static bool word(reader *r, const char *text) {
    size_t size = strlen(text);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, text, size) != 0) return false;
    r->at += size;
    return true;
}

/* The four digits of an escape. */
static bool hex(reader *r, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int c = next(r);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return false;
        *value = *value * 16 + (uint32_t)digit;
        r->at++;
    }
    return true;
}

/* The bytes of one character beyond ASCII, as UTF-8 has them: no longer than needed, no surrogates. */
static bool character(reader *r) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t first = *r->at, size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first > 0xf4 || (size_t)(r->end - r->at) < size) return false;
    uint32_t value = first & (0x7fu >> size);
    for (uint32_t i = 1; i < size; i++) {
        if ((r->at[i] & 0xc0) != 0x80) return false;
        value = value << 6 | (r->at[i] & 0x3f);
    }
    r->at += size;
    return value >= least[size] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

/* An escape, behind its backslash. A surrogate needs its other half. */
static bool escape(reader *r, uint32_t *value) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!takes(r, 'u')) {
        const char *found = next(r) > 0 ? strchr(from, next(r)) : NULL;
        if (found == NULL) return false;
        *value = (uint32_t)to[found - from];
        r->at++;
        return true;
    }
    if (!hex(r, value)) return false;
    if (*value < 0xd800 || *value > 0xdfff) return true;
    uint32_t low;
    if (*value > 0xdbff || !takes(r, '\\') || !takes(r, 'u') || !hex(r, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *value = 0x10000 + ((*value - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static bool string(reader *r) {
    uint32_t ignored;
    if (!takes(r, '"')) return false;
    for (;;) {
        if (takes(r, '"')) return true;
        if (next(r) < 0x20) return false; /* the end, too */
        if (takes(r, '\\')) {
            if (!escape(r, &ignored)) return false;
        } else if (next(r) < 0x80) {
            r->at++;
        } else if (!character(r)) {
            return false;
        }
    }
}

/* Moves over a value, whatever follows. It is one loop, and no function that calls itself: the stack is small. */
static bool value(reader *r) {
    char open[MAX_DEPTH];
    size_t depth = 0;
    for (;;) {
        space(r);
        int c = next(r);
        if (c == '[' || c == '{') {
            if (depth == MAX_DEPTH) return false;
            r->at++;
            open[depth++] = (char)(c == '[' ? ']' : '}');
            space(r);
            if (!takes(r, open[depth - 1])) {
                if (c == '[') continue;
                goto name;
            }
            depth--;
        } else if (c == '"'   ? !string(r)
                   : c == 't' ? !word(r, "true")
                   : c == 'f' ? !word(r, "false")
                   : c == 'n' ? !word(r, "null")
                              : !number(r)) {
            return false;
        }
        for (;;) {
            if (depth == 0) return true;
            space(r);
            if (takes(r, ',')) break;
            if (!takes(r, open[depth - 1])) return false;
            depth--;
        }
        if (open[depth - 1] == ']') continue;
    name:
        space(r);
        if (!string(r)) return false;
        space(r);
        if (!takes(r, ':')) return false;
    }
}

/* The next value, as it was written. */
static bool take(reader *r, daca_bytes *found) {
    space(r);
    const unsigned char *from = r->at;
    if (!value(r)) return false;
    *found = (daca_bytes){(const char *)from, (size_t)(r->at - from)};
    return true;
}

bool daca_json_valid(daca_bytes json) {
    reader r = reader_of(json);
    if (!value(&r)) return false;
    space(&r);
    return r.at == r.end;
}

bool daca_json_field(daca_bytes object, const char *name, daca_bytes *found) {
    reader r = reader_of(object);
    bool exists = false;
    space(&r);
    if (!takes(&r, '{')) return false;
    do {
        daca_bytes key, text, field;
        if (!take(&r, &key)) break;
        space(&r);
        if (!takes(&r, ':') || !take(&r, &field)) break;
        if (daca_json_text(key, &text) && daca_equal(text, daca_text(name))) {
            *found = field; /* the last one counts, as everywhere */
            exists = true;
        }
        space(&r);
    } while (takes(&r, ','));
    return exists;
}

bool daca_json_list(daca_bytes list, daca_bytes **values, size_t *count) {
    reader r = reader_of(list);
    space(&r);
    if (!takes(&r, '[')) return false;
    reader again = r;
    daca_bytes one;
    size_t number_of = 0;
    while (take(&r, &one)) {
        number_of++;
        space(&r);
        if (!takes(&r, ',')) break;
    }
    *values = (daca_bytes *)daca_alloc(number_of * sizeof(daca_bytes));
    *count = number_of;
    for (size_t i = 0; i < number_of; i++) {
        take(&again, &(*values)[i]);
        space(&again);
        takes(&again, ',');
    }
    return true;
}

static size_t utf8(uint32_t value, char *into) {
    size_t size = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; value >>= 6)
        into[i] = (char)(0x80 | (value & 0x3f));
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    into[0] = (char)(lead[size] | value);
    return size;
}

bool daca_json_text(daca_bytes json, daca_bytes *text) {
    reader r = reader_of(json);
    space(&r);
    if (!takes(&r, '"')) return false;
    char *made = (char *)daca_alloc(json.size); /* an escape is no shorter than its character */
    size_t size = 0;
    while (r.at < r.end && !takes(&r, '"')) {
        uint32_t escaped;
        if (!takes(&r, '\\')) {
            made[size++] = (char)*r.at++;
        } else if (escape(&r, &escaped)) {
            size += utf8(escaped, made + size);
        } else {
            return false;
        }
    }
    *text = (daca_bytes){made, size};
    return true;
}

bool daca_json_int(daca_bytes json, int64_t *found) {
    reader r = reader_of(json);
    space(&r);
    bool negative = takes(&r, '-');
    const unsigned char *from = r.at;
    int64_t sum = 0;
    for (; next(&r) >= '0' && next(&r) <= '9'; r.at++) {
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, next(&r) - '0', &sum)) return false;
    }
    bool any = r.at > from;
    space(&r);
    if (!any || r.at != r.end || (!negative && sum == INT64_MIN)) return false;
    *found = negative ? sum : -sum;
    return true;
}

/* --- Writing. ----------------------------------------------------------------------------------------------------- */

void daca_put_bytes(daca_buffer *buffer, daca_bytes bytes) {
    if (bytes.size > buffer->room - buffer->size) {
        if (bytes.size > SIZE_MAX / 4 || buffer->room > SIZE_MAX / 4) __builtin_trap();
        size_t room = 2 * buffer->room > buffer->size + bytes.size ? 2 * buffer->room : buffer->size + bytes.size + 32;
        char *larger = (char *)daca_alloc(room);
        if (buffer->size > 0) memcpy(larger, buffer->data, buffer->size);
        buffer->data = larger;
        buffer->room = room;
    }
    if (bytes.size > 0) memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    buffer->size += bytes.size;
}

void daca_put(daca_buffer *buffer, const char *text) { daca_put_bytes(buffer, daca_text(text)); }

void daca_put_json(daca_buffer *buffer, daca_bytes text) {
    static const char digit[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    daca_put(buffer, "\"");
    size_t plain = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        daca_put_bytes(buffer, (daca_bytes){text.data + plain, i - plain});
        plain = i + 1;
        const char *found = c != 0 ? strchr(from, c) : NULL;
        char escaped[] = {'\\', 'u', '0', '0', digit[c >> 4], digit[c & 15]};
        if (found != NULL) escaped[1] = to[found - from];
        daca_put_bytes(buffer, (daca_bytes){escaped, found != NULL ? 2u : 6u});
    }
    daca_put_bytes(buffer, (daca_bytes){text.data + plain, text.size - plain});
    daca_put(buffer, "\"");
}

daca_bytes daca_taken(const daca_buffer *buffer) {
    return buffer->size > 0 ? (daca_bytes){buffer->data, buffer->size} : (daca_bytes){"", 0};
}
