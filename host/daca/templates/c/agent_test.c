/* Tests of the agent on this machine: make test
 *
 * The host is the few functions below: one actor, whose state has one value. */
#include "agent.c"

#include <stdio.h>
#include <string.h>

static char stored[4096];
static size_t stored_size;
static int published;
static daca_schedule reminder;

daca_error daca_state_get(daca_bytes key, bool *exists, daca_bytes *value) {
    (void)key;
    *exists = stored_size > 0;
    *value = (daca_bytes){stored, stored_size};
    return (daca_error){0};
}
daca_error daca_state_set(daca_bytes key, daca_bytes value) {
    (void)key;
    if (value.size > sizeof(stored)) return (daca_error){.code = DACA_TOO_LARGE};
    memcpy(stored, value.data, value.size);
    stored_size = value.size;
    return (daca_error){0};
}
daca_error daca_state_delete(daca_bytes key) {
    (void)key;
    stored_size = 0;
    return (daca_error){0};
}
daca_error daca_publish(daca_bytes pubsub, daca_bytes topic, daca_bytes event, daca_effect *effect) {
    (void)pubsub, (void)topic, (void)event, (void)effect;
    published++;
    return (daca_error){0};
}
daca_error daca_reminder_register(daca_bytes name, daca_schedule when, daca_bytes data) {
    (void)name, (void)data;
    reminder = when;
    return (daca_error){0};
}
daca_bytes daca_actor_id(void) { return daca_text("user1"); }
void daca_log_text(daca_level level, daca_bytes text) { (void)level, (void)text; }

static int faults;

static void is(daca_bytes found, const char *expected) {
    if (daca_equal(found, daca_text(expected))) return;
    faults++;
    printf("found    %.*s\nexpected %s\n", DACA_ARG(found), expected);
}

#define IS_TRUE(condition)                                                                                                   \
    if (!(condition)) {                                                                                                      \
        faults++;                                                                                                            \
        printf("line %d: this does not hold: %s\n", __LINE__, #condition);                                                   \
    }

int main(void) {
    /* A message is answered, kept and published. */
    daca_reply reply = say(daca_text("{\"content\":\"Hi\"}"));
    IS_TRUE(reply.kind == DACA_REPLY_OK && published == 1 && reminder.due == FORGOTTEN_AFTER);
    is(reply.value, "{\"role\":\"assistant\",\"content\":\"Got your message: Hi\"}");
    is(history(daca_text("")).value,
       "[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Got your message: Hi\"}]");

    /* A message without content is refused, and leaves nothing. */
    const char *const refused[] = {"", "{", "1", "{}", "{\"content\":1}", "{\"content\":\"\"}"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        IS_TRUE(say(daca_text(refused[i])).kind == DACA_REPLY_INVALID);
    }
    IS_TRUE(published == 1);
    is(say(daca_text("{}")).value, "the message has no content");
    is(say(daca_text("")).value, "the message has no content");

    /* Half of a surrogate pair is no text, as in every language. */
    is(say(daca_text("{\"content\":\"\\ud800\"}")).value,
       "the payload is not JSON, or it has half of a surrogate pair");

    /* The newest messages are kept. */
    for (int i = 0; i < KEPT; i++) say(daca_text("{\"content\":\"again\"}"));
    daca_bytes *messages;
    size_t count;
    IS_TRUE(daca_json_list(history(daca_text("")).value, &messages, &count) && count == KEPT);

    /* The reminder forgets the conversation. */
    IS_TRUE(on_reminder(daca_text("forget"), daca_text("null")).kind == DACA_REPLY_OK);
    is(history(daca_text("")).value, "[]");
    printf(faults ? "%d faults\n" : "all is well\n", faults);
    return faults != 0;
}
