// The ChatAgent as a Dapr actor app in Go, written plainly with net/http and the sidecar's HTTP API.
//
// It does the whole job of the tutorial: the history in the actor's state, an event and an SMS for each message, the
// endpoints for people, for Kafka's binding and for the subscription. Each call to the sidecar is made where the tutorial
// makes it. With -keep-state it keeps each actor's history in memory between calls, as a careful author would;
// with -sms=false it sends no SMS.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	actorType = "ChatAgent"
	toNumber  = "+1987654321"
	kept      = 5
)

// A message of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// An app beside its sidecar.
type app struct {
	sidecar   string
	client    *http.Client
	keepState bool
	sms       bool
	histories sync.Map // of []message, by the actor's id
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address to listen on")
	keepState := flag.Bool("keep-state", false, "keep histories in memory between calls")
	sms := flag.Bool("sms", true, "send an SMS for each message")
	flag.Parse()
	// The default of two idle connections would open a new one for most calls.
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}
	a := &app{
		sidecar:   "http://127.0.0.1:" + os.Getenv("DAPR_HTTP_PORT"),
		client:    &http.Client{Transport: transport, Timeout: 30 * time.Second},
		keepState: *keepState,
		sms:       *sms,
	}
	log.Fatal(http.ListenAndServe(*listen, a.routes()))
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {})
	mux.HandleFunc("GET /dapr/config", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"entities": []string{actorType}, "actorIdleTimeout": "1h"})
	})
	mux.HandleFunc("GET /dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, []map[string]any{})
	})
	mux.HandleFunc("PUT /actors/ChatAgent/{id}/method/ProcessMessage", a.processMessage)
	mux.HandleFunc("PUT /actors/ChatAgent/{id}/method/GetConversationHistory", a.conversationHistory)
	mux.HandleFunc("DELETE /actors/ChatAgent/{id}", func(_ http.ResponseWriter, r *http.Request) {
		a.histories.Delete(r.PathValue("id"))
	})
	mux.HandleFunc("POST /chat/{id}", a.chat)
	mux.HandleFunc("GET /chat/{id}/history", a.chatHistory)
	mux.HandleFunc("POST /receive-message", a.receiveMessage)
	mux.HandleFunc("POST /subscribe", a.subscribe)
	return mux
}

// What the sidecar calls: one call at a time for each actor.
func (a *app) processMessage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var input message
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil || input.Content == "" {
		http.Error(w, "Invalid or missing 'content' field", http.StatusBadRequest)
		return
	}
	output, err := a.process(id, input)
	if err != nil {
		log.Printf("Error processing message for history-%s: %v", id, err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, output)
}

func (a *app) process(id string, input message) (message, error) {
	key := "history-" + id
	log.Printf("Processing message for %s: %+v", key, input)
	history, err := a.history(id)
	if err != nil {
		return message{}, err
	}
	output := message{Role: "assistant", Content: "Got your message: " + input.Content}
	history = append(history, input, output)
	history = history[max(0, len(history)-kept):]
	if err := a.save(id, history); err != nil {
		return message{}, err
	}
	log.Printf("Processed message for %s: %s", key, input.Content)
	a.publish(id, input, output)
	if a.sms {
		a.sendSMS(id, input, output)
	}
	return output, nil
}

func (a *app) history(id string) ([]message, error) {
	if history, ok := a.histories.Load(id); ok {
		return history.([]message), nil
	}
	var history []message
	path := fmt.Sprintf("/v1.0/actors/%s/%s/state/history-%s", actorType, url.PathEscape(id), url.PathEscape(id))
	body, err := a.call(http.MethodGet, path, nil)
	if err != nil || len(body) == 0 {
		return nil, err
	}
	return history, json.Unmarshal(body, &history)
}

func (a *app) save(id string, history []message) error {
	upsert := map[string]any{
		"operation": "upsert",
		"request":   map[string]any{"key": "history-" + id, "value": history},
	}
	path := fmt.Sprintf("/v1.0/actors/%s/%s/state", actorType, url.PathEscape(id))
	if _, err := a.call(http.MethodPost, path, []any{upsert}); err != nil {
		a.histories.Delete(id)
		return err
	}
	if a.keepState {
		a.histories.Store(id, history)
	}
	return nil
}

func (a *app) publish(id string, input, output message) {
	event := map[string]any{
		"actor_id":    id,
		"history_key": "history-" + id,
		"actor_type":  actorType,
		"event_type":  "ConversationUpdated",
		"input":       input,
		"output":      output,
	}
	if _, err := a.call(http.MethodPost, "/v1.0/publish/daca-pubsub/user-chat", event); err != nil {
		log.Printf("Failed to publish event: %v", err)
		return
	}
	log.Printf("Published event for history-%s: %v", id, event)
}

func (a *app) sendSMS(id string, input, output message) {
	body := fmt.Sprintf("New message from %s: %s -> %s", id, input.Content, output.Content)
	request := map[string]any{
		"operation": "create",
		"data":      body,
		"metadata":  map[string]string{"toNumber": toNumber},
	}
	if _, err := a.call(http.MethodPost, "/v1.0/bindings/twilio-binding", request); err != nil {
		log.Printf("Failed to send SMS: %v", err)
		return
	}
	log.Printf("Sent SMS for history-%s: %s", id, body)
}

func (a *app) conversationHistory(w http.ResponseWriter, r *http.Request) {
	history, err := a.history(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, append([]message{}, history...))
}

// What people call.
func (a *app) chat(w http.ResponseWriter, r *http.Request) {
	var input message
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil || input.Content == "" {
		http.Error(w, `{"detail":"Invalid or missing 'content' field"}`, http.StatusBadRequest)
		return
	}
	a.passOn(w, r.PathValue("id"), "ProcessMessage", input, "response", nil)
}

func (a *app) chatHistory(w http.ResponseWriter, r *http.Request) {
	a.passOn(w, r.PathValue("id"), "GetConversationHistory", nil, "history", nil)
}

// What Kafka's binding calls.
func (a *app) receiveMessage(w http.ResponseWriter, r *http.Request) {
	var received struct {
		ActorID string   `json:"actor_id"`
		Message *message `json:"message"`
	}
	err := json.NewDecoder(r.Body).Decode(&received)
	if err != nil || received.Message == nil || received.Message.Content == "" {
		http.Error(w, `{"detail":"Invalid message format"}`, http.StatusBadRequest)
		return
	}
	if received.ActorID == "" {
		received.ActorID = "unknown"
	}
	status := map[string]any{"status": "Message processed"}
	a.passOn(w, received.ActorID, "ProcessMessage", received.Message, "response", status)
}

// Calls the actor through the sidecar, which knows where it lives, and answers with its reply under a name.
func (a *app) passOn(w http.ResponseWriter, id, method string, body any, name string, reply map[string]any) {
	path := fmt.Sprintf("/v1.0/actors/%s/%s/method/%s", actorType, url.PathEscape(id), method)
	result, err := a.call(http.MethodPut, path, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if reply == nil {
		reply = map[string]any{}
	}
	reply[name] = json.RawMessage(result)
	answer(w, reply)
}

// What the subscription delivers.
func (a *app) subscribe(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Data struct {
			ActorID       string `json:"actor_id"`
			Input, Output message
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		answer(w, map[string]string{"status": "DROP"})
		return
	}
	data := event.Data
	log.Printf("Received event: User %s sent '%s', got '%s'", data.ActorID, data.Input.Content, data.Output.Content)
	answer(w, map[string]string{"status": "SUCCESS"})
}

func (a *app) call(method, path string, body any) ([]byte, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, a.sidecar+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	result, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, errors.New(response.Status + ": " + string(result))
	}
	return result, nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}
