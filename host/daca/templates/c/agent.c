/* An agent: one conversation for each actor.
 *
 * A call is one turn: state, events and reminders take effect together when the method succeeds, and not at all when it
 * fails. Only state lasts. Memory that the SDK returns lasts for the turn. */
#include "daca.h"

#define TEXT(literal) ((daca_bytes){literal, sizeof(literal) - 1})

/* The messages of a conversation that are kept. */
#define KEPT 10
/* A conversation is forgotten when nobody has said anything for this time, in milliseconds. */
#define FORGOTTEN_AFTER ((uint64_t)24 * 60 * 60 * 1000)
#define HISTORY TEXT("history")

/* A message as JSON. */
static daca_bytes message_of(const char *role, daca_bytes content) {
    daca_buffer json = {0};
    daca_put(&json, "{\"role\":");
    daca_put_json(&json, daca_text(role));
    daca_put(&json, ",\"content\":");
    daca_put_json(&json, content);
    daca_put(&json, "}");
    return daca_taken(&json);
}

/* The kept messages, a list in JSON. */
static daca_error read_history(daca_bytes *history) {
    bool exists;
    daca_error error = daca_state_get(HISTORY, &exists, history);
    if (!exists) *history = TEXT("[]");
    return error;
}

/* The newest messages of a history to which two are added. */
static daca_bytes added(daca_bytes history, daca_bytes said, daca_bytes answer) {
    daca_buffer json = {0};
    daca_bytes *messages;
    size_t count;
    if (!daca_json_list(history, &messages, &count)) count = 0;
    daca_put(&json, "[");
    for (size_t i = count > KEPT - 2 ? count - (KEPT - 2) : 0; i < count; i++) {
        daca_put_bytes(&json, messages[i]);
        daca_put(&json, ",");
    }
    daca_put_bytes(&json, said);
    daca_put(&json, ",");
    daca_put_bytes(&json, answer);
    daca_put(&json, "]");
    return daca_taken(&json);
}

static daca_error publish(daca_bytes said, daca_bytes answer) {
    daca_buffer event = {0};
    daca_effect effect;
    daca_put(&event, "{\"id\":");
    daca_put_json(&event, daca_actor_id());
    daca_put(&event, ",\"said\":");
    daca_put_bytes(&event, said);
    daca_put(&event, ",\"answer\":");
    daca_put_bytes(&event, answer);
    daca_put(&event, "}");
    return daca_publish(TEXT("pubsub"), TEXT("chat"), daca_taken(&event), &effect);
}

/* Answers a message, and keeps both. */
static daca_reply say(daca_bytes message) {
    daca_bytes field, content, history;
    if (message.size > 0 && !daca_json_valid(message)) {
        return daca_invalid("the payload is not JSON, or it has half of a surrogate pair");
    }
    if (!daca_json_field(message, "content", &field) || !daca_json_text(field, &content) || content.size == 0) {
        return daca_invalid("the message has no content");
    }
    daca_bytes said = message_of("user", content);
    daca_bytes answer = message_of("assistant", daca_format("Got your message: %.*s", DACA_ARG(content)));
    daca_error error = read_history(&history);
    if (error.code == DACA_DONE) error = daca_state_set(HISTORY, added(history, said, answer));
    if (error.code == DACA_DONE) error = publish(said, answer);
    daca_schedule when = {.due = FORGOTTEN_AFTER};
    if (error.code == DACA_DONE) error = daca_reminder_register(TEXT("forget"), when, TEXT("null"));
    return error.code == DACA_DONE ? daca_ok(answer) : daca_failed_with(error);
}

/* The kept messages, oldest first. */
static daca_reply history(daca_bytes payload) {
    (void)payload;
    daca_bytes messages;
    daca_error error = read_history(&messages);
    return error.code == DACA_DONE ? daca_ok(messages) : daca_failed_with(error);
}

static daca_reply on_reminder(daca_bytes name, daca_bytes data) {
    (void)data;
    daca_log(DACA_INFO, "%.*s: nobody has said anything for a day", DACA_ARG(name));
    daca_error error = daca_state_delete(HISTORY);
    return error.code == DACA_DONE ? daca_done() : daca_failed_with(error);
}

DACA_ON_REMINDER(on_reminder)
DACA_AGENT({"Say", say}, {"History", history})
