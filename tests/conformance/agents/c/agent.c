/* The agent of the conformance cases in C. What each method does is in ../README.md.
 *
 * Values are passed on as they were written: a field of a payload, what is in the state, a reply. */
#define _DEFAULT_SOURCE /* for getentropy */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "parts.h"

/* What is in memory lasts as long as the instance. */
static int64_t calls, held;

/* --- Hooks. ------------------------------------------------------------------------------------------------------- */

static daca_error count_of(const char *key, int64_t *count) {
    bool exists;
    daca_bytes json;
    daca_error error = daca_state_get(daca_text(key), &exists, &json);
    *count = 0;
    if (error.code == DACA_DONE && exists) daca_json_int(json, count);
    return error;
}

static daca_reply increment(const char *key) {
    int64_t count;
    daca_error error = count_of(key, &count);
    if (error.code == DACA_DONE) {
        error = daca_state_set(daca_text(key), daca_format("%lld", (long long)count + 1));
    }
    return error.code == DACA_DONE ? daca_done() : daca_failed_with(error);
}

static daca_reply activate(void) { return increment("activations"); }
static daca_reply deactivate(void) { return increment("deactivations"); }

/* Appends a value to the list under a key of the state. */
static daca_reply append(daca_bytes key, daca_bytes value) {
    bool exists = false;
    daca_bytes list;
    daca_error error = daca_state_get(key, &exists, &list);
    if (error.code != DACA_DONE) return daca_failed_with(error);
    daca_buffer all = {0};
    if (exists && list.size > 2) {
        /* Without its last bracket. */
        daca_put_bytes(&all, (daca_bytes){list.data, list.size - 1});
        daca_put(&all, ",");
    } else {
        daca_put(&all, "[");
    }
    daca_put_bytes(&all, value);
    daca_put(&all, "]");
    error = daca_state_set(key, daca_taken(&all));
    return error.code == DACA_DONE ? daca_done() : daca_failed_with(error);
}

/* Records a firing. Data with `fails_without` fails as long as the state has no such key. */
static daca_reply record(const char *kind, daca_bytes name, daca_bytes data) {
    bool exists = false;
    daca_bytes key, found;
    if (text(data, "fails_without", &key)) {
        daca_error error = daca_state_get(key, &exists, &found);
        if (error.code != DACA_DONE) return daca_failed_with(error);
        if (!exists) return daca_failed("the %s %.*s waits for the key %.*s", kind, DACA_ARG(name), DACA_ARG(key));
    }
    daca_buffer firing = {0};
    daca_put(&firing, "{\"kind\":\"");
    daca_put(&firing, kind);
    daca_put(&firing, "\",\"name\":");
    daca_put_json(&firing, name);
    daca_put(&firing, ",\"data\":");
    daca_put_bytes(&firing, data.size > 0 ? data : NULL_JSON);
    daca_put(&firing, "}");
    return append(TEXT("fired"), daca_taken(&firing));
}

static daca_reply on_reminder(daca_bytes name, daca_bytes data) { return record("reminder", name, data); }
static daca_reply on_timer(daca_bytes name, daca_bytes data) { return record("timer", name, data); }

/* Records an effect that was given up. */
static daca_reply on_effect_failed(const daca_failed_effect *effect, daca_error reason) {
    daca_bytes target = effect->is_event
                            ? daca_format("%.*s/%.*s", DACA_ARG(effect->pubsub), DACA_ARG(effect->topic))
                            : daca_format("%.*s/%.*s", DACA_ARG(effect->binding), DACA_ARG(effect->operation));
    daca_buffer failed = {0};
    daca_put(&failed, effect->is_event ? "{\"kind\":\"publish\",\"target\":" : "{\"kind\":\"send\",\"target\":");
    daca_put_json(&failed, target);
    daca_put(&failed, ",\"data\":");
    daca_put_json(&failed, effect->data);
    daca_put_bytes(&failed, daca_format(",\"attempts\":%u", (unsigned)effect->attempts));
    daca_put_bytes(&failed, daca_format(",\"reason\":{\"code\":\"%s\",\"message\":", case_of(reason.code)));
    daca_put_json(&failed, reason.message);
    daca_put(&failed, "}}");
    return append(TEXT("failed"), daca_taken(&failed));
}

static size_t migrated_keys(daca_bytes from, daca_bytes *keys) {
    (void)from;
    keys[0] = TEXT("migrated");
    return 1;
}

static daca_reply migrate(daca_bytes from, daca_pair *entries, size_t *count) {
    daca_buffer json = {0};
    daca_put(&json, "{\"from\":");
    daca_put_json(&json, from);
    daca_put(&json, ",\"value\":");
    daca_put_bytes(&json, *count > 0 ? entries[0].value : NULL_JSON);
    daca_put(&json, "}");
    entries[0] = (daca_pair){TEXT("migrated"), daca_taken(&json)};
    *count = 1;
    return daca_done();
}

/* --- Payloads and replies. ---------------------------------------------------------------------------------------- */

static daca_reply echo(daca_bytes payload) {
    NEEDS(daca_json_valid(payload));
    return daca_ok(payload);
}

static daca_reply optional(daca_bytes payload) { return payload.size == 0 ? daca_ok(TEXT("\"none\"")) : echo(payload); }

static daca_reply nothing(daca_bytes payload) {
    (void)payload;
    return daca_done();
}

static daca_reply length(daca_bytes it) {
    daca_bytes content;
    size_t characters = 0;
    NEEDS(text(it, "text", &content));
    for (size_t i = 0; i < content.size; i++)
        characters += (content.data[i] & 0xc0) != 0x80; /* a character's first byte */
    return daca_ok(daca_format("{\"characters\":%zu,\"bytes\":%zu}", characters, content.size));
}

static daca_reply repeat(daca_bytes it) {
    daca_bytes content;
    daca_buffer all = {0};
    NEEDS(text(it, "text", &content));
    for (int i = 0; i < 100; i++)
        daca_put_bytes(&all, content);
    return daca_ok(json_text(daca_taken(&all)));
}

/* A whole number as text, of up to 37 digits. */
static bool large(daca_bytes digits, __int128 *value) {
    bool is_negative = digits.size > 0 && digits.data[0] == '-';
    *value = 0;
    if (digits.size <= is_negative || digits.size > 38) return false;
    for (size_t i = is_negative; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        *value = *value * 10 + (digits.data[i] - '0');
    }
    if (is_negative) *value = -*value;
    return true;
}

static daca_reply sum(daca_bytes it) {
    daca_bytes a_text, b_text;
    __int128 a, b;
    NEEDS(text(it, "a", &a_text) && large(a_text, &a));
    NEEDS(text(it, "b", &b_text) && large(b_text, &b));
    char digits[44], *at = digits + sizeof(digits);
    __int128 rest = a + b;
    bool is_negative = rest < 0;
    *--at = '"';
    do {
        int digit = (int)(rest % 10);
        *--at = (char)('0' + (digit < 0 ? -digit : digit));
        rest /= 10;
    } while (rest != 0);
    if (is_negative) *--at = '-';
    *--at = '"';
    return daca_ok(daca_format("%.*s", (int)(digits + sizeof(digits) - at), at));
}

/* --- Turns that do not end well. ---------------------------------------------------------------------------------- */

static daca_reply failure(daca_bytes kind, daca_bytes message) {
    daca_kind number = daca_equal(kind, TEXT("invalid"))     ? DACA_REPLY_INVALID
                       : daca_equal(kind, TEXT("not-found")) ? DACA_REPLY_NOT_FOUND
                                                             : DACA_REPLY_FAILED;
    return (daca_reply){number, message};
}

/* What ends a program in C. */
static _Noreturn void give_up(daca_bytes message) {
    fprintf(stderr, "%.*s\n", DACA_ARG(message));
    abort();
}

static daca_reply fail(daca_bytes it) {
    daca_bytes kind, message;
    NEEDS(text(it, "case", &kind));
    return failure(kind, text(it, "message", &message) ? message : TEXT(""));
}

static daca_reply throw(daca_bytes it) {
    daca_bytes message;
    NEEDS(text(it, "message", &message));
    give_up(message);
}

static daca_reply stage(daca_bytes it) {
    daca_bytes key, ending;
    daca_effect effect;
    NEEDS(text(it, "key", &key));
    NEEDS(text(it, "ending", &ending));
    daca_bytes value = value_of(it, "value");
    daca_schedule now = {0, 0, 0};
    daca_error error = daca_state_set(key, value);
    if (error.code == DACA_DONE) error = daca_publish(TEXT("daca-pubsub"), TEXT("conformance"), value, &effect);
    if (error.code == DACA_DONE) {
        error = daca_binding_send(TEXT("outbox"), TEXT("create"), TEXT("staged"), NULL, 0, &effect);
    }
    if (error.code == DACA_DONE) error = daca_reminder_register(TEXT("staged"), now, value);
    if (error.code == DACA_DONE) error = daca_timer_register(TEXT("staged"), now, value);
    if (error.code != DACA_DONE) return daca_failed_with(error);
    if (daca_equal(ending, TEXT("well"))) return daca_ok(TEXT("\"well\""));
    if (daca_equal(ending, TEXT("throw"))) give_up(TEXT("as it was told"));
    return failure(ending, TEXT("as it was told"));
}

static daca_reply hold(daca_bytes it) {
    int64_t mebibytes;
    NEEDS(number(it, "mebibytes", &mebibytes));
    volatile char *block = malloc((size_t)mebibytes << 20);
    if (block == NULL) give_up(TEXT("out of memory"));
    for (int64_t i = 0; i < mebibytes << 20; i++)
        block[i] = 1;
    return whole(++held);
}

static daca_reply spin(daca_bytes payload) {
    volatile size_t turns = payload.size;
    for (;;)
        turns = turns + 1;
}

/* C has nothing that waits. */
static daca_reply awaits(daca_bytes it) {
    int64_t count, waited = 0;
    NEEDS(number(it, "count", &count));
    while (waited < count)
        waited++;
    return whole(waited);
}

/* --- Effects, and what acts at once. ------------------------------------------------------------------------------ */

static daca_reply publish(daca_bytes it) {
    daca_bytes topic, delivered;
    daca_effect effect;
    NEEDS(text(it, "topic", &topic));
    const char *slash = memchr(topic.data, '/', topic.size);
    NEEDS(slash != NULL);
    daca_bytes pubsub = {topic.data, (size_t)(slash - topic.data)};
    daca_bytes name = {slash + 1, topic.size - pubsub.size - 1};
    daca_error error = daca_publish(pubsub, name, value_of(it, "event"), &effect);
    if (error.code == DACA_DONE && text(it, "delivered", &delivered)) {
        error = daca_log_outcome(effect, delivered, TEXT("undeliverable"));
    }
    return answer(error, NULL_JSON);
}

/* A call of a binding, as `Send` and `InvokeBinding` take it. */
typedef struct binding {
    daca_bytes name, operation, data;
    daca_pair metadata[1];
    size_t count;
} binding;

/* The one key of the metadata that the cases use is `to`: there is no list of an object's keys here. */
static bool binding_of(daca_bytes it, binding *call) {
    daca_bytes metadata;
    if (!text(it, "binding", &call->name) || !text(it, "operation", &call->operation)) return false;
    if (!text(it, "data", &call->data)) call->data = TEXT("");
    call->metadata[0].name = TEXT("to");
    call->count = field(it, "metadata", &metadata) && text(metadata, "to", &call->metadata[0].value) ? 1 : 0;
    return true;
}

static daca_reply send(daca_bytes it) {
    binding call;
    daca_effect effect;
    NEEDS(binding_of(it, &call));
    daca_error error = daca_binding_send(call.name, call.operation, call.data, call.metadata, call.count, &effect);
    return answer(error, NULL_JSON);
}

static daca_reply invoke_binding(daca_bytes it) {
    binding call;
    daca_response response = {{"", 0}, NULL, 0};
    NEEDS(binding_of(it, &call));
    daca_error error =
        daca_binding_invoke(call.name, call.operation, call.data, call.metadata, call.count, &response);
    return answer(error, json_text(response.data));
}

static daca_reply call_actor(daca_bytes it) {
    daca_bytes type, id, method, reply;
    NEEDS(text(it, "type", &type));
    NEEDS(text(it, "id", &id));
    NEEDS(text(it, "method", &method));
    daca_error error = daca_actor_invoke(type, id, method, value_of(it, "payload"), &reply);
    return answer(error, reply);
}

static daca_reply failed_effects(daca_bytes payload) {
    bool exists = false;
    daca_bytes all;
    (void)payload;
    daca_error error = daca_state_get(TEXT("failed"), &exists, &all);
    return answer(error, exists ? all : TEXT("[]"));
}

/* --- What the host tells and is told. ----------------------------------------------------------------------------- */

static daca_reply activations(daca_bytes payload) {
    int64_t begun, ended;
    (void)payload;
    daca_error error = count_of("activations", &begun);
    if (error.code == DACA_DONE) error = count_of("deactivations", &ended);
    if (error.code != DACA_DONE) return answer(error, NULL_JSON);
    return daca_ok(daca_format("{\"activations\":%lld,\"deactivations\":%lld}", (long long)begun, (long long)ended));
}

static daca_reply count_calls(daca_bytes payload) {
    (void)payload;
    return whole(++calls);
}

static daca_reply who_am_i(daca_bytes payload) {
    (void)payload;
    daca_pair names[] = {{TEXT("agent_type"), daca_agent_type()},
                         {TEXT("actor_id"), daca_actor_id()},
                         {TEXT("turn_id"), daca_turn_id()}};
    return object_of(names, 3);
}

static daca_reply setting(daca_bytes it) {
    daca_bytes key, value;
    bool exists = false;
    NEEDS(text(it, "key", &key));
    daca_error error = daca_setting(key, &exists, &value);
    return answer(error, error.code == DACA_DONE && exists ? json_text(value) : NULL_JSON);
}

static daca_reply secret(daca_bytes it) {
    daca_bytes name;
    const daca_pair *values;
    size_t count;
    NEEDS(text(it, "name", &name));
    daca_error error = daca_secret(name, &values, &count);
    return error.code == DACA_DONE ? object_of(values, count) : answer(error, NULL_JSON);
}

static daca_reply write_log(daca_bytes it) {
    daca_bytes level, message;
    NEEDS(text(it, "level", &level));
    NEEDS(text(it, "message", &message));
    daca_level number = daca_equal(level, TEXT("debug"))  ? DACA_DEBUG
                        : daca_equal(level, TEXT("info")) ? DACA_INFO
                        : daca_equal(level, TEXT("warn")) ? DACA_WARN
                                                          : DACA_ERROR;
    daca_log_text(number, message);
    return daca_done();
}

static daca_reply randomness(daca_bytes payload) {
    unsigned long long value;
    (void)payload;
    if (getentropy(&value, sizeof(value)) != 0) return daca_failed("there is no randomness");
    return daca_ok(daca_format("\"%llu\"", value));
}

static daca_reply clock_of_world(daca_bytes payload) {
    struct timespec now;
    (void)payload;
    timespec_get(&now, TIME_UTC);
    return whole((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

DACA_AGENT({"Set", set}, {"Get", get}, {"GetMany", get_many}, {"Delete", delete}, {"ReadOwnWrites", read_own_writes},
           {"Echo", echo}, {"Optional", optional}, {"Nothing", nothing}, {"Length", length}, {"Repeat", repeat},
           {"Sum", sum}, {"Fail", fail}, {"Throw", throw}, {"Stage", stage}, {"Hold", hold}, {"Spin", spin},
           {"Awaits", awaits}, {"Publish", publish}, {"Send", send}, {"InvokeBinding", invoke_binding},
           {"CallActor", call_actor}, {"FailedEffects", failed_effects},
           {"RegisterReminder", register_reminder}, {"GetReminder", get_reminder},
           {"UnregisterReminder", unregister_reminder}, {"RegisterTimer", register_timer}, {"GetTimer", get_timer},
           {"UnregisterTimer", unregister_timer}, {"Fired", fired}, {"Activations", activations},
           {"Calls", count_calls}, {"WhoAmI", who_am_i}, {"Setting", setting}, {"Secret", secret}, {"Log", write_log},
           {"Random", randomness}, {"Clock", clock_of_world})
DACA_LIFECYCLE(activate, deactivate)
DACA_ON_REMINDER(on_reminder)
DACA_ON_TIMER(on_timer)
DACA_ON_EFFECT_FAILED(on_effect_failed)
DACA_MIGRATION("conformance-agents-schema-number-1", migrated_keys, migrate)
