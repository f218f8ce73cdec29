/* The methods that read and write the state. */
#include "parts.h"

daca_reply set(daca_bytes it) {
    daca_bytes key;
    int64_t ttl;
    NEEDS(text(it, "key", &key));
    daca_bytes value = value_of(it, "value");
    if (!number(it, "ttl", &ttl)) return answer(daca_state_set(key, value), NULL_JSON);
    return answer(daca_state_set_for(key, value, (uint32_t)ttl), NULL_JSON);
}

daca_reply get(daca_bytes it) {
    daca_bytes key, value;
    bool exists = false;
    NEEDS(text(it, "key", &key));
    daca_error error = daca_state_get(key, &exists, &value);
    return answer_if(error, exists, value);
}

daca_reply get_many(daca_bytes it) {
    daca_bytes list, *keys;
    size_t count;
    NEEDS(field(it, "keys", &list) && daca_json_list(list, &keys, &count));
    bool *exist = daca_alloc(count * sizeof(bool));
    daca_bytes *values = daca_alloc(count * sizeof(daca_bytes));
    for (size_t i = 0; i < count; i++)
        NEEDS(daca_json_text(keys[i], &keys[i]));
    daca_error error = daca_state_get_many(keys, count, exist, values);
    if (error.code != DACA_DONE) return answer(error, NULL_JSON);
    daca_buffer json = {0};
    daca_put(&json, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) daca_put(&json, ",");
        daca_put_bytes(&json, exist[i] ? values[i] : NULL_JSON);
    }
    daca_put(&json, "]");
    return daca_ok(daca_taken(&json));
}

daca_reply delete(daca_bytes it) {
    daca_bytes key;
    NEEDS(text(it, "key", &key));
    return answer(daca_state_delete(key), NULL_JSON);
}

daca_reply read_own_writes(daca_bytes it) {
    daca_bytes key, values[3];
    bool exist[3] = {false, false, false};
    NEEDS(text(it, "key", &key));
    daca_bytes value = value_of(it, "value");
    daca_error error = daca_state_set(key, value);
    if (error.code == DACA_DONE) error = daca_state_get(key, &exist[0], &values[0]);
    if (error.code == DACA_DONE) error = daca_state_delete(key);
    if (error.code == DACA_DONE) error = daca_state_get(key, &exist[1], &values[1]);
    if (error.code == DACA_DONE) error = daca_state_set(key, value);
    if (error.code == DACA_DONE) error = daca_state_get_many(&key, 1, &exist[2], &values[2]);
    daca_buffer json = {0};
    for (size_t i = 0; error.code == DACA_DONE && i < 3; i++) {
        daca_put(&json, i == 0 ? "[" : ",");
        daca_put_bytes(&json, exist[i] ? values[i] : NULL_JSON);
    }
    daca_put(&json, "]");
    return answer(error, daca_taken(&json));
}
