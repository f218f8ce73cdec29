/* The ChatAgent: keeps the last messages of a conversation, publishes each exchange, and sends it as an SMS.
 *
 * It behaves like the Rust agent in `guest/chat-agent`, with the same names and texts. */
#include <stdlib.h>
#include <string.h>

#include "daca.h"

#define TEXT(literal) ((daca_bytes){literal, sizeof(literal) - 1})

/* The number of messages of a conversation that are kept. */
#define KEPT 5
/* The bytes of a message as JSON: the kept ones fit into one state value (1 MiB). */
#define MAX_MESSAGE ((size_t)128 * 1024)
/* The recipient of the SMS when the setting `to-number` is missing. */
#define DEFAULT_NUMBER TEXT("+1987654321")

/* One conversation. Everything in memory is derived from the actor's id and the agent type's settings. */
static daca_bytes id, history_key, to_number;

/* A copy that outlives the turn. */
static daca_bytes kept(daca_bytes text) {
    char *copy = malloc(text.size + 1);
    if (copy == NULL) __builtin_trap();
    memcpy(copy, text.data, text.size);
    return (daca_bytes){copy, text.size};
}

static daca_bytes number(void) {
    bool exists;
    daca_bytes value;
    daca_error error = daca_setting(TEXT("to-number"), &exists, &value);
    if (error.code != DACA_DONE) {
        daca_log(DACA_WARN, "The setting `to-number` cannot be read: %.*s", DACA_ARG(daca_error_text(error)));
    }
    return exists ? value : DEFAULT_NUMBER;
}

static daca_error initialise(void) {
    bool exists;
    daca_bytes history;
    daca_error error = daca_state_get(history_key, &exists, &history);
    if (error.code != DACA_DONE) return error;
    if (exists) {
        daca_log(DACA_INFO, "State found for %.*s: %.*s", DACA_ARG(history_key), DACA_ARG(history));
        return error;
    }
    daca_log(DACA_INFO, "State not found for %.*s, initializing", DACA_ARG(history_key));
    return daca_state_set(history_key, TEXT("[]"));
}

static daca_reply activate(void) {
    id = kept(daca_actor_id());
    history_key = kept(daca_format("history-%.*s", DACA_ARG(id)));
    to_number = kept(number());
    daca_log(DACA_INFO, "Activating actor for %.*s", DACA_ARG(history_key));
    daca_error error = initialise();
    if (error.code != DACA_DONE) {
        /* Nothing is written here: a failed read must not erase a history. */
        daca_log(DACA_WARN, "Non-critical error in _on_activate: %.*s", DACA_ARG(daca_error_text(error)));
    }
    return daca_done();
}

static daca_reply deactivate(void) { return daca_done(); }

/* The stored history. Anything but a list counts as empty. */
static daca_error messages(daca_bytes *json, daca_bytes **list, size_t *count) {
    bool exists;
    daca_error error = daca_state_get(history_key, &exists, json);
    *list = NULL;
    *count = 0;
    if (error.code != DACA_DONE) return error;
    if (exists && !daca_json_valid(*json)) {
        daca_log(DACA_WARN, "The state under %.*s is not JSON, starting anew", DACA_ARG(history_key));
        exists = false;
    }
    if (!exists || !daca_json_list(*json, list, count)) *json = TEXT("[]");
    return error;
}

/* Keeps the last messages, and the two new ones. */
static daca_error keep(daca_bytes input, daca_bytes output) {
    daca_bytes stored, *list;
    size_t count;
    daca_error error = messages(&stored, &list, &count);
    if (error.code != DACA_DONE) return error;
    daca_buffer json = {0};
    daca_put(&json, "[");
    for (size_t i = count > KEPT - 2 ? count - (KEPT - 2) : 0; i < count; i++) {
        daca_put_bytes(&json, list[i]);
        daca_put(&json, ",");
    }
    daca_put_bytes(&json, input);
    daca_put(&json, ",");
    daca_put_bytes(&json, output);
    daca_put(&json, "]");
    return daca_state_set(history_key, daca_taken(&json));
}

static daca_error publish(daca_bytes input, daca_bytes output) {
    daca_buffer event = {0};
    daca_put(&event, "{\"actor_id\":");
    daca_put_json(&event, id);
    daca_put(&event, ",\"history_key\":");
    daca_put_json(&event, history_key);
    daca_put(&event, ",\"actor_type\":\"ChatAgent\",\"event_type\":\"ConversationUpdated\",\"input\":");
    daca_put_bytes(&event, input);
    daca_put(&event, ",\"output\":");
    daca_put_bytes(&event, output);
    daca_put(&event, "}");
    daca_bytes json = daca_taken(&event);
    daca_effect effect;
    daca_error error = daca_publish(TEXT("daca-pubsub"), TEXT("user-chat"), json, &effect);
    if (error.code != DACA_DONE) return error;
    daca_bytes delivered = daca_format("Published event for %.*s: %.*s", DACA_ARG(history_key), DACA_ARG(json));
    return daca_log_outcome(effect, delivered, TEXT("Failed to publish event"));
}

/* Stages the SMS, unless the setting `to-number` is empty. */
static daca_error send_sms(daca_bytes content, daca_bytes answer) {
    daca_error error = {DACA_DONE, {"", 0}};
    if (to_number.size == 0) return error;
    daca_buffer body = {0}, sms = {0};
    daca_put(&body, "New message from ");
    daca_put_bytes(&body, id);
    daca_put(&body, ": ");
    daca_put_bytes(&body, content);
    daca_put(&body, " -> ");
    daca_put_bytes(&body, answer);
    daca_pair metadata = {TEXT("toNumber"), to_number};
    daca_effect effect;
    error = daca_binding_send(TEXT("twilio-binding"), TEXT("create"), daca_taken(&body), &metadata, 1, &effect);
    if (error.code != DACA_DONE) return error;
    daca_put(&sms, "Sent SMS for ");
    daca_put_bytes(&sms, history_key);
    daca_put(&sms, ": {\"toNumber\":");
    daca_put_json(&sms, to_number);
    daca_put(&sms, ",\"body\":");
    daca_put_json(&sms, daca_taken(&body));
    daca_put(&sms, "}");
    return daca_log_outcome(effect, daca_taken(&sms), TEXT("Failed to send SMS"));
}

static void log_failure(const char *what, daca_error error) {
    if (error.code != DACA_DONE) daca_log(DACA_ERROR, "%s: %.*s", what, DACA_ARG(daca_error_text(error)));
}

/* A line with texts of the caller, which may hold zeros. */
static void log_line(const char *what, daca_bytes text) {
    daca_buffer line = {0};
    daca_put(&line, what);
    daca_put_bytes(&line, history_key);
    daca_put(&line, ": ");
    daca_put_bytes(&line, text);
    daca_log_text(DACA_INFO, daca_taken(&line));
}

/* A valid message's content. */
static bool checked(daca_bytes message, daca_bytes *content, daca_reply *refused) {
    daca_bytes field, role;
    if (message.size > MAX_MESSAGE) {
        *refused = daca_invalid("The message has %zu bytes; %zu are the most", message.size, MAX_MESSAGE);
    } else if (!daca_json_valid(message)) {
        *refused = daca_invalid("ProcessMessage cannot use this payload: it is not JSON");
    } else if (!daca_json_field(message, "content", &field) || !daca_json_text(field, content) || content->size == 0) {
        *refused = daca_invalid("Invalid or missing 'content' field");
    } else if (!daca_json_field(message, "role", &field) || !daca_json_text(field, &role)) {
        *refused = daca_invalid("Invalid or missing 'role' field");
    } else {
        return true;
    }
    return false;
}

/* Answers a message `{role, content}` and keeps both. */
static daca_reply process_message(daca_bytes input) {
    daca_bytes content;
    daca_reply refused;
    if (input.size == 0) input = TEXT("null");
    if (!checked(input, &content, &refused)) return refused;
    log_line("Processing message for ", input);

    daca_buffer answer = {0}, output = {0};
    daca_put(&answer, "Got your message: ");
    daca_put_bytes(&answer, content);
    daca_put(&output, "{\"role\":\"assistant\",\"content\":");
    daca_put_json(&output, daca_taken(&answer));
    daca_put(&output, "}");
    daca_error error = keep(input, daca_taken(&output));
    if (error.code != DACA_DONE) {
        daca_bytes text = daca_error_text(error);
        daca_log(DACA_ERROR, "Error processing message for %.*s: %.*s", DACA_ARG(history_key), DACA_ARG(text));
        /* The caller's message is too large, and a retry would not change that. */
        if (error.code == DACA_TOO_LARGE) return daca_invalid("The message cannot be kept: %.*s", DACA_ARG(text));
        return daca_failed_with(error);
    }
    log_line("Processed message for ", content);

    /* The conversation continues if these fail. */
    log_failure("Failed to publish event", publish(input, daca_taken(&output)));
    log_failure("Failed to send SMS", send_sms(content, daca_taken(&answer)));
    return daca_ok(daca_taken(&output));
}

/* The kept messages, oldest first. */
static daca_reply get_conversation_history(daca_bytes payload) {
    (void)payload;
    daca_bytes json, *list;
    size_t count;
    daca_error error = messages(&json, &list, &count);
    if (error.code == DACA_DONE) return daca_ok(json);
    daca_log(DACA_ERROR, "Error getting history for %.*s: %.*s", DACA_ARG(history_key),
             DACA_ARG(daca_error_text(error)));
    return daca_failed_with(error);
}

DACA_AGENT({"ProcessMessage", process_message}, {"GetConversationHistory", get_conversation_history})
DACA_LIFECYCLE(activate, deactivate)
