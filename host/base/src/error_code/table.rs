//! The table of all error codes: one line for each, in alphabetical order, with the name that people and programs see
//! and the class.
//!
//! A new code is a line here and its page, `docs/errors/CODE.md`, without which this does not compile. The tests of
//! [`super`] write the index of the pages.

use super::Class;

macro_rules! error_codes {
    ($($variant:ident $name:literal $class:ident;)*) => {
        /// A stable code, on which programs may rely. [`ErrorCode::page`] explains it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
        }

        impl ErrorCode {
            /// All codes, in alphabetical order.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as people and programs see it, such as `host-busy`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                }
            }

            /// The class, which decides the HTTP status.
            pub fn class(self) -> Class {
                match self {
                    $(ErrorCode::$variant => Class::$class,)*
                }
            }

            /// The page of the book that explains the code, in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(
                        ErrorCode::$variant => {
                            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/", $name, ".md"))
                        }
                    )*
                }
            }
        }
    };
}

error_codes! {
    AcceptFailed "accept-failed" Notice;
    ActorIdInvalid "actor-id-invalid" Invalid;
    ActorQueueFull "actor-queue-full" Busy;
    AddressesScarce "addresses-scarce" Notice;
    AdminAddressInvalid "admin-address-invalid" Setup;
    AdminNotLoopback "admin-not-loopback" Setup;
    AdminTokenExposed "admin-token-exposed" Notice;
    AdminTokenInvalid "admin-token-invalid" Setup;
    AdminTokenUnreadable "admin-token-unreadable" Setup;
    AdminUnauthorized "admin-unauthorized" Unauthorized;
    AgentTypeUnknown "agent-type-unknown" NotFound;
    AnswerTooSlow "answer-too-slow" Notice;
    AnswerUnreadable "answer-unreadable" Setup;
    AppTokenIgnored "app-token-ignored" Notice;
    AppTokenInvalid "app-token-invalid" Setup;
    AppTokenRefused "app-token-refused" Unauthorized;
    BackendRefused "backend-refused" Permanent;
    BackendUnavailable "backend-unavailable" Unavailable;
    BackupBusy "backup-busy" Busy;
    BackupCut "backup-cut" Setup;
    BackupDamaged "backup-damaged" Setup;
    BackupExists "backup-exists" Setup;
    BackupFailed "backup-failed" Notice;
    BackupTooNew "backup-too-new" Setup;
    BackupUnreadable "backup-unreadable" Setup;
    BackupUnsupported "backup-unsupported" Conflict;
    BackupUnwritable "backup-unwritable" Setup;
    BodiesExhausted "bodies-exhausted" Unavailable;
    BodyEncodingUnsupported "body-encoding-unsupported" WrongEncoding;
    BodyFieldInvalid "body-field-invalid" Invalid;
    BodyNotJson "body-not-json" Invalid;
    BodyNotObject "body-not-object" Invalid;
    BodyTooDeep "body-too-deep" Invalid;
    BodyTooLarge "body-too-large" TooLarge;
    BodyTooSlow "body-too-slow" TooSlow;
    BodyUnreadable "body-unreadable" Invalid;
    CallChainTooDeep "call-chain-too-deep" Permanent;
    CallMisdelivered "call-misdelivered" Notice;
    CallWaitsForItself "call-waits-for-itself" Invalid;
    CallbacksExposed "callbacks-exposed" Notice;
    ClusterEventFailed "cluster-event-failed" Notice;
    CodeUnknown "code-unknown" Setup;
    CompiledCodeNotKept "compiled-code-not-kept" Notice;
    CompiledCodeUnusable "compiled-code-unusable" Notice;
    CompilerUnavailable "compiler-unavailable" Unavailable;
    ComponentCompileLimit "component-compile-limit" Unusable;
    ComponentContractVersion "component-contract-version" Unusable;
    ComponentImportAbsent "component-import-absent" Notice;
    ComponentInvalid "component-invalid" Unusable;
    ComponentIsModule "component-is-module" Unusable;
    ComponentLacksExport "component-lacks-export" Unusable;
    ComponentLacksMigration "component-lacks-migration" Conflict;
    ComponentMemory "component-memory" Unusable;
    ComponentMissing "component-missing" NotFound;
    ComponentNeedsAsync "component-needs-async" Unusable;
    ComponentNeedsFeature "component-needs-feature" Unusable;
    ComponentNotPermitted "component-not-permitted" Notice;
    ComponentTooComplex "component-too-complex" Unusable;
    ComponentTooLarge "component-too-large" TooLarge;
    ComponentUnknownImport "component-unknown-import" Unusable;
    ComponentUnsigned "component-unsigned" Forbidden;
    ComponentsActorStoreMissing "components-actor-store-missing" Setup;
    ComponentsActorStoreTwice "components-actor-store-twice" Setup;
    ComponentsActorStoreUnfit "components-actor-store-unfit" Setup;
    ComponentsDuplicate "components-duplicate" Setup;
    ComponentsFeatureUnknown "components-feature-unknown" Setup;
    ComponentsGroupMissing "components-group-missing" Setup;
    ComponentsInputMissing "components-input-missing" Setup;
    ComponentsInputUnlisted "components-input-unlisted" Setup;
    ComponentsInvalid "components-invalid" Setup;
    ComponentsKindUnknown "components-kind-unknown" Setup;
    ComponentsMessagesLost "components-messages-lost" Setup;
    ComponentsMessagesRepeated "components-messages-repeated" Setup;
    ComponentsMessagesSkipped "components-messages-skipped" Setup;
    ComponentsOperationUnknown "components-operation-unknown" Setup;
    ComponentsOutOfScope "components-out-of-scope" Setup;
    ComponentsOutputMissing "components-output-missing" Setup;
    ComponentsPartitionStops "components-partition-stops" Setup;
    ComponentsPubsubMissing "components-pubsub-missing" Setup;
    ComponentsRouteUnanswered "components-route-unanswered" Setup;
    ComponentsSecretMissing "components-secret-missing" Setup;
    ComponentsSecretStoreMissing "components-secret-store-missing" Setup;
    ComponentsSettingInvalid "components-setting-invalid" Setup;
    ComponentsSettingMissing "components-setting-missing" Setup;
    ComponentsSlowBinding "components-slow-binding" Setup;
    ComponentsSubscriptionIgnored "components-subscription-ignored" Setup;
    ComponentsSyntax "components-syntax" Setup;
    ComponentsTopicNotAllowed "components-topic-not-allowed" Setup;
    ComponentsTypeUnknown "components-type-unknown" Setup;
    ComponentsUnreadable "components-unreadable" Setup;
    ComponentsVersionUnknown "components-version-unknown" Setup;
    ComponentsWrongKind "components-wrong-kind" Setup;
    ConnectionsCapped "connections-capped" Notice;
    ConnectionsExhausted "connections-exhausted" Unavailable;
    DaprComponentAbsent "dapr-component-absent" Notice;
    DaprVersionUnsafe "dapr-version-unsafe" Notice;
    DataDamaged "data-damaged" Setup;
    DataExposed "data-exposed" Notice;
    DataInUse "data-in-use" Setup;
    DataMissing "data-missing" Notice;
    DataNotEmpty "data-not-empty" Setup;
    DataTooNew "data-too-new" Setup;
    DataUnwritable "data-unwritable" Setup;
    DeactivationNotKept "deactivation-not-kept" Notice;
    DeadLetterDropped "dead-letter-dropped" Notice;
    DeadLetterIndexFull "dead-letter-index-full" Notice;
    DeadLetterNotWritten "dead-letter-not-written" Notice;
    DeadLetterUnknown "dead-letter-unknown" NotFound;
    Denied "denied" Notice;
    DeployBusy "deploy-busy" Unavailable;
    DeployConflict "deploy-conflict" Overtaken;
    DevBuildFailed "dev-build-failed" Notice;
    DevBuildWritesSources "dev-build-writes-sources" Notice;
    DevManifestChanged "dev-manifest-changed" Notice;
    DevNotRolledBack "dev-not-rolled-back" Notice;
    DevNotServed "dev-not-served" Notice;
    DevNothingToBuild "dev-nothing-to-build" Setup;
    DevSourceMissing "dev-source-missing" Setup;
    DevTooManySources "dev-too-many-sources" Setup;
    EffectGivenUp "effect-given-up" Notice;
    EffectHandlerGivenUp "effect-handler-given-up" Notice;
    EffectsBacklog "effects-backlog" Unavailable;
    EffectsWithoutReminder "effects-without-reminder" Notice;
    EngineUnavailable "engine-unavailable" Setup;
    EventDropped "event-dropped" Notice;
    EventGivenBack "event-given-back" Notice;
    EventIdReused "event-id-reused" Unusable;
    EventSetAside "event-set-aside" Notice;
    EventSetAsideFailed "event-set-aside-failed" Notice;
    EventUnreadable "event-unreadable" Notice;
    Failed "failed" Failed;
    FieldMissing "field-missing" Invalid;
    GuestExited "guest-exited" Failed;
    GuestTrapped "guest-trapped" Failed;
    HeadTooLarge "head-too-large" HeadTooLarge;
    HostBusy "host-busy" Unavailable;
    HostEnded "host-ended" Unavailable;
    HostInvalid "host-invalid" Invalid;
    HostShuttingDown "host-shutting-down" Unavailable;
    HostStarting "host-starting" Unavailable;
    HostUnreachable "host-unreachable" Unavailable;
    IdempotencyKeyInvalid "idempotency-key-invalid" Invalid;
    IdempotencyKeyReused "idempotency-key-reused" Unusable;
    Internal "internal" Failed;
    Invalid "invalid" Invalid;
    LabelInvalid "label-invalid" Invalid;
    ListenFailed "listen-failed" Setup;
    LiveInstancesCapped "live-instances-capped" Notice;
    LogFilterInvalid "log-filter-invalid" Setup;
    LogFollowersExceeded "log-followers-exceeded" Busy;
    LogLinesDropped "log-lines-dropped" Notice;
    LogLinesExceeded "log-lines-exceeded" Notice;
    LogLinesMissed "log-lines-missed" Notice;
    LogUnavailable "log-unavailable" Setup;
    ManifestDuplicateRoute "manifest-duplicate-route" Setup;
    ManifestInvalidDev "manifest-invalid-dev" Setup;
    ManifestInvalidInputBinding "manifest-invalid-input-binding" Setup;
    ManifestInvalidLimit "manifest-invalid-limit" Setup;
    ManifestInvalidName "manifest-invalid-name" Setup;
    ManifestInvalidPermission "manifest-invalid-permission" Setup;
    ManifestInvalidRoute "manifest-invalid-route" Setup;
    ManifestInvalidSigner "manifest-invalid-signer" Setup;
    ManifestNoAgents "manifest-no-agents" Setup;
    ManifestSyntax "manifest-syntax" Setup;
    ManifestUnknownAgent "manifest-unknown-agent" Setup;
    ManifestUnknownKey "manifest-unknown-key" Setup;
    ManifestUnreadable "manifest-unreadable" Setup;
    MemoryBelowBody "memory-below-body" Setup;
    MemoryExceeded "memory-exceeded" Failed;
    MemoryExhausted "memory-exhausted" Unavailable;
    MessageSetAside "message-set-aside" Notice;
    MethodNotAllowed "method-not-allowed" WrongMethod;
    MethodReserved "method-reserved" Forbidden;
    NeededUnavailable "needed-unavailable" Unavailable;
    NewFolderNotEmpty "new-folder-not-empty" Setup;
    NewLanguageUnknown "new-language-unknown" Setup;
    NewNameInvalid "new-name-invalid" Setup;
    NewUnwritable "new-unwritable" Setup;
    NoRoomForInstance "no-room-for-instance" Unavailable;
    NoWakeupHandler "no-wakeup-handler" Failed;
    NotApplied "not-done" Unavailable;
    NotFound "not-found" NotFound;
    NotPinned "not-pinned" NotFound;
    NothingToRollBack "nothing-to-roll-back" Conflict;
    OpenFilesScarce "open-files-scarce" Setup;
    OriginRefused "origin-refused" Forbidden;
    OutcomeUnknown "outcome-unknown" Notice;
    OutputFailed "output-failed" Setup;
    PathInvalid "path-invalid" Invalid;
    PortEnded "port-ended" Notice;
    QueryInvalid "query-invalid" Invalid;
    RateExceeded "rate-exceeded" Busy;
    RecordTooNew "record-too-new" Unavailable;
    RegistrationsExceeded "registrations-exceeded" OverQuota;
    ReminderKept "reminder-kept" Notice;
    ReminderNotKept "reminder-not-kept" Notice;
    ReplyForgotten "reply-forgotten" Conflict;
    ReplyNotJson "reply-not-json" Permanent;
    ReplyTooLarge "reply-too-large" Permanent;
    RequestUnreadable "request-unreadable" Invalid;
    RestoreUnfinished "restore-unfinished" Setup;
    RollbackLosesShape "rollback-loses-shape" Conflict;
    RolledBack "rolled-back" Notice;
    RouteUnknown "route-unknown" NotFound;
    RunningTimeExceeded "running-time-exceeded" Failed;
    ScriptInvalid "script-invalid" Unusable;
    ScriptLacksMethod "script-lacks-method" Setup;
    SecretsUnreadable "secrets-unreadable" Setup;
    SetAsideFailed "set-aside-failed" Unavailable;
    ShareExceeded "share-exceeded" Unavailable;
    ShareInvalid "share-invalid" Invalid;
    SharedStateMissing "shared-state-missing" Notice;
    SharedStateUnavailable "shared-state-unavailable" Unavailable;
    ShutdownIncomplete "shutdown-incomplete" Notice;
    SidecarClientUnavailable "sidecar-client-unavailable" Setup;
    SidecarEndpointInvalid "sidecar-endpoint-invalid" Setup;
    SidecarError "sidecar-error" Notice;
    SidecarMessageTooLarge "sidecar-message-too-large" TooLarge;
    SidecarTokenInvalid "sidecar-token-invalid" Setup;
    SidecarUnavailable "sidecar-unavailable" Notice;
    SignatureForeign "signature-foreign" Forbidden;
    SignatureInvalid "signature-invalid" Forbidden;
    SignatureUnreadable "signature-unreadable" Setup;
    SigningKeyExposed "signing-key-exposed" Setup;
    SigningKeyInvalid "signing-key-invalid" Setup;
    SigningKeyUnreadable "signing-key-unreadable" Setup;
    SigningNoRandomness "signing-no-randomness" Setup;
    SigningUnwritable "signing-unwritable" Setup;
    StackExhausted "stack-exhausted" Failed;
    StateMissing "state-missing" Notice;
    StateShapeUnknown "state-shape-unknown" Unavailable;
    StateTooNew "state-too-new" Unavailable;
    StateTotalExceeded "state-total-exceeded" OverQuota;
    StateUnavailable "state-unavailable" Notice;
    StorageExceeded "storage-exceeded" OverQuota;
    TestkitAddress "testkit-address" Setup;
    TestkitJson "testkit-json" Setup;
    TestkitKey "testkit-key" Setup;
    TestkitRequest "testkit-request" Setup;
    TestkitState "testkit-state" Setup;
    TestkitTimedOut "testkit-timed-out" Setup;
    TestkitTooFar "testkit-too-far" Setup;
    TimerNotSettled "timer-not-settled" Notice;
    TooManyPins "too-many-pins" Conflict;
    TransferEncodingUnsupported "transfer-encoding-unsupported" NotImplemented;
    TrialFailed "trial-failed" Unusable;
    TurnTimeExceeded "turn-time-exceeded" TimedOut;
    VersionInvalid "version-invalid" Setup;
    VersionUnknown "version-unknown" NotFound;
    VersionsFolderMissing "versions-folder-missing" NotFound;
    VersionsFolderUnusable "versions-folder-unusable" Setup;
    VersionsMissing "versions-missing" Permanent;
    VersionsUnreadable "versions-unreadable" Permanent;
    VersionsUnwritable "versions-unwritable" StorageFull;
    WakeupGivenUp "wakeup-given-up" Notice;
    WakeupNotRemoved "wakeup-not-removed" Notice;
    WakeupOfNewerHost "wakeup-of-newer-host" Unavailable;
}
