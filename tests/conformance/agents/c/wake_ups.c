/* The methods about reminders and timers. */
#include "parts.h"

typedef daca_error registers(daca_bytes name, daca_schedule when, daca_bytes data);
typedef daca_error finds(daca_bytes name, bool *exists, daca_schedule *when, daca_bytes *data);

static daca_reply register_with(registers *door, daca_bytes it) {
    daca_bytes name;
    int64_t due, period, ttl;
    NEEDS(text(it, "name", &name));
    NEEDS(number(it, "due_ms", &due));
    bool repeats = number(it, "period_ms", &period), ends = number(it, "ttl_ms", &ttl);
    /* To the header a period of 0 is none, so this one cannot be asked for. */
    if (repeats && period == 0) return daca_ok(TEXT("{\"error\":\"invalid\"}"));
    daca_schedule when = {(uint64_t)due, repeats ? (uint64_t)period : 0, ends ? (uint64_t)ttl : 0};
    return answer(door(name, when, value_of(it, "data")), NULL_JSON);
}

static void put_ms(daca_buffer *json, const char *name, uint64_t ms, bool is_there) {
    daca_put_bytes(json, is_there ? daca_format(",\"%s\":%llu", name, (unsigned long long)ms)
                                  : daca_format(",\"%s\":null", name));
}

static daca_reply registration(finds *door, daca_bytes it) {
    daca_bytes name, data;
    daca_schedule when;
    bool exists = false;
    NEEDS(text(it, "name", &name));
    daca_error error = door(name, &exists, &when, &data);
    if (error.code != DACA_DONE || !exists) return answer(error, NULL_JSON);
    daca_buffer json = {0};
    daca_put(&json, "{\"name\":");
    daca_put_json(&json, name);
    put_ms(&json, "due_ms", when.due, true);
    put_ms(&json, "period_ms", when.period, when.period > 0);
    put_ms(&json, "ttl_ms", when.ttl, when.ttl > 0);
    daca_put(&json, ",\"data\":");
    daca_put_bytes(&json, data.size > 0 ? data : NULL_JSON);
    daca_put(&json, "}");
    return daca_ok(daca_taken(&json));
}

static daca_reply unregister_with(daca_error (*door)(daca_bytes name), daca_bytes it) {
    daca_bytes name;
    NEEDS(text(it, "name", &name));
    return answer(door(name), NULL_JSON);
}

daca_reply register_reminder(daca_bytes it) { return register_with(daca_reminder_register, it); }
daca_reply get_reminder(daca_bytes it) { return registration(daca_reminder_get, it); }
daca_reply unregister_reminder(daca_bytes it) { return unregister_with(daca_reminder_unregister, it); }
daca_reply register_timer(daca_bytes it) { return register_with(daca_timer_register, it); }
daca_reply get_timer(daca_bytes it) { return registration(daca_timer_get, it); }
daca_reply unregister_timer(daca_bytes it) { return unregister_with(daca_timer_unregister, it); }

daca_reply fired(daca_bytes payload) {
    daca_bytes all;
    bool exists = false;
    (void)payload;
    daca_error error = daca_state_get(TEXT("fired"), &exists, &all);
    return answer(error, exists ? all : TEXT("[]"));
}
