// A counter in C++, with a reminder that resets it.
#include <string>

#include "daca.h"

namespace {

const daca_bytes kSum = {"sum", 3};

daca_reply number(int64_t value) {
    std::string text = std::to_string(value);
    return daca_ok(daca_format("%s", text.c_str()));
}

/// Adds to the sum and returns it. A day after the last call the counter begins anew.
daca_reply add(daca_bytes payload) {
    int64_t amount;
    if (!daca_json_valid(payload) || !daca_json_int(payload, &amount)) return daca_invalid("Add takes a whole number");
    bool exists;
    daca_bytes stored;
    daca_error error = daca_state_get(kSum, &exists, &stored);
    if (error.code != DACA_DONE) return daca_failed_with(error);
    int64_t sum = 0;
    if (exists && !daca_json_int(stored, &sum)) return daca_failed("the stored sum is no number");
    if (__builtin_add_overflow(sum, amount, &sum)) return daca_invalid("the sum would be too large");

    daca_reply reply = number(sum);
    error = daca_state_set(kSum, reply.value);
    if (error.code != DACA_DONE) return daca_failed_with(error);
    error = daca_reminder_register({"reset", 5}, {.due = 24 * 60 * 60 * 1000, .period = 0, .ttl = 0}, {"", 0});
    return error.code == DACA_DONE ? reply : daca_failed_with(error);
}

daca_reply on_reminder(daca_bytes name, daca_bytes) {
    daca_log(DACA_INFO, "the reminder %.*s resets the counter", DACA_ARG(name));
    daca_error error = daca_state_delete(kSum);
    return error.code == DACA_DONE ? daca_done() : daca_failed_with(error);
}

} // namespace

DACA_AGENT({"Add", add})
DACA_ON_REMINDER(on_reminder)
