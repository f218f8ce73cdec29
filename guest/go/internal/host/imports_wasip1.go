package host

import "unsafe"

// The imports, as the canonical ABI lays them out: a text or a list is an address and a length, an option a number
// before its value, and a result that is no single number goes where the last parameter says.

//go:wasmimport daca:agent/identity@0.1.0 agent-type
func identityAgentType(into unsafe.Pointer)

//go:wasmimport daca:agent/identity@0.1.0 actor-id
func identityActorID(into unsafe.Pointer)

//go:wasmimport daca:agent/identity@0.1.0 turn-id
func identityTurnID(into unsafe.Pointer)

//go:wasmimport daca:agent/state@0.1.0 get
func stateGet(key unsafe.Pointer, keyLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/state@0.1.0 get-many
func stateGetMany(keys unsafe.Pointer, keysLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/state@0.1.0 set
func stateSet(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen, hasTTL, ttl uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/state@0.1.0 delete
func stateDelete(key unsafe.Pointer, keyLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/pubsub@0.1.0 publish
func pubsubPublish(pubsub unsafe.Pointer, pubsubLen uint32, topic unsafe.Pointer, topicLen uint32, event unsafe.Pointer, eventLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/bindings@0.1.0 invoke
func bindingsInvoke(name unsafe.Pointer, nameLen uint32, operation unsafe.Pointer, operationLen uint32, data unsafe.Pointer, dataLen uint32, metadata unsafe.Pointer, metadataLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/bindings@0.1.0 send
func bindingsSend(name unsafe.Pointer, nameLen uint32, operation unsafe.Pointer, operationLen uint32, data unsafe.Pointer, dataLen uint32, metadata unsafe.Pointer, metadataLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/effects@0.1.0 log-outcome
func effectsLogOutcome(effect uint32, delivered unsafe.Pointer, deliveredLen uint32, undeliverable unsafe.Pointer, undeliverableLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/actors@0.1.0 invoke
func actorsInvoke(agentType unsafe.Pointer, agentTypeLen uint32, id unsafe.Pointer, idLen uint32, method unsafe.Pointer, methodLen uint32, payload unsafe.Pointer, payloadLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/reminders@0.1.0 register
func remindersRegister(name unsafe.Pointer, nameLen uint32, due uint64, hasPeriod uint32, period uint64, hasTTL uint32, ttl uint64, data unsafe.Pointer, dataLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/reminders@0.1.0 unregister
func remindersUnregister(name unsafe.Pointer, nameLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/reminders@0.1.0 get
func remindersGet(name unsafe.Pointer, nameLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/timers@0.1.0 register
func timersRegister(name unsafe.Pointer, nameLen uint32, due uint64, hasPeriod uint32, period uint64, hasTTL uint32, ttl uint64, data unsafe.Pointer, dataLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/timers@0.1.0 unregister
func timersUnregister(name unsafe.Pointer, nameLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/timers@0.1.0 get
func timersGet(name unsafe.Pointer, nameLen uint32, into unsafe.Pointer)

//go:wasmimport daca:agent/secrets@0.1.0 get
func secretsGet(name unsafe.Pointer, nameLen uint32, into unsafe.Pointer)

//go:wasmimport wasi:config/store@0.2.0-rc.1 get
func configGet(key unsafe.Pointer, keyLen uint32, into unsafe.Pointer)

//go:wasmimport wasi:config/store@0.2.0-rc.1 get-all
func configGetAll(into unsafe.Pointer)

//go:wasmimport wasi:logging/logging@0.1.0-draft log
func loggingLog(level uint32, context unsafe.Pointer, contextLen uint32, message unsafe.Pointer, messageLen uint32)
