/* Every hook of daca.h, to see that it compiles, and that its export is that of the contract: the component is built,
 * and never run. hooks.cpp is the same in C++. */
#include "daca.h"

static daca_reply get(daca_bytes payload) { return daca_ok(payload); }

static daca_reply activate(void) { return daca_done(); }
static daca_reply deactivate(void) { return daca_done(); }

static daca_reply on_reminder(daca_bytes name, daca_bytes data) {
    daca_log(DACA_INFO, "the reminder %.*s has %.*s", DACA_ARG(name), DACA_ARG(data));
    return daca_done();
}

static daca_reply on_timer(daca_bytes name, daca_bytes data) {
    daca_log(DACA_INFO, "the timer %.*s has %.*s", DACA_ARG(name), DACA_ARG(data));
    return daca_done();
}

static daca_reply on_effect_failed(const daca_failed_effect *effect, daca_error reason) {
    daca_bytes why = daca_error_text(reason);
    daca_log(DACA_WARN, "%.*s failed after %u attempts: %.*s", DACA_ARG(effect->id), (unsigned)effect->attempts,
             DACA_ARG(why));
    return daca_done();
}

static size_t keys_of(daca_bytes from, daca_bytes *keys) {
    if (from.size == 0) return daca_no_keys(keys, "the schema %.*s is none", DACA_ARG(from));
    keys[0] = daca_text("old");
    return 1;
}

static daca_reply migrate(daca_bytes from, daca_pair *entries, size_t *count) {
    (void)from;
    for (size_t i = 0; i < *count; i++)
        entries[i].name = daca_text("new");
    return daca_done();
}

DACA_AGENT({"Get", get})
DACA_LIFECYCLE(activate, deactivate)
DACA_ON_REMINDER(on_reminder)
DACA_ON_TIMER(on_timer)
DACA_ON_EFFECT_FAILED(on_effect_failed)
DACA_MIGRATION("2", keys_of, migrate)
