//! Guests that take more than they may: the turn ends, nothing of it is kept, and nobody else notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daca_tests::{Host, eventually, exerciser, manifest_of, message};
use serde_json::{Value, json};

/// Every misbehaving guest in one host, with little time and memory.
fn misbehaving() -> String {
    let limits = "limits = { running-time = \"300ms\", memory = \"8MiB\" }";
    let guests = [
        ("Panics", "panics", ""),
        ("Exits", "exits", ""),
        ("Allocates", "allocates", ""),
        ("Recurses", "recurses", ""),
        ("Loops", "loops", ""),
        ("LoopsEarly", "loops", "settings = { loop-in-activate = \"yes\" }"),
        ("PanicsEarly", "panics", "settings = { panic-in-activate = \"yes\" }"),
    ];
    guests.map(|(name, guest, more)| manifest_of(name, guest, &format!("{limits}\n{more}"))).concat()
}

#[tokio::test]
async fn a_guest_that_does_not_end_well_harms_nobody() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&misbehaving()).await?);
    // The text is what the caller has to read.
    let cases = [
        ("Panics", "Panic", json!("my last words"), &["guest-trapped"][..], "trapped"),
        ("Exits", "Exit", json!(0), &["guest-exited"], "exit"),
        ("Exits", "Exit", json!(3), &["guest-exited"], "exit"),
        ("Allocates", "OneBlock", Value::Null, &["memory-exceeded"], "8.0 MiB"),
        ("Allocates", "ManyPieces", Value::Null, &["memory-exceeded"], "8.0 MiB"),
        // The stack that a guest keeps in its own memory ends with an access out of bounds.
        ("Recurses", "Recurse", Value::Null, &["stack-exhausted", "guest-trapped"], ""),
        ("Recurses", "RecurseInHostStack", Value::Null, &["stack-exhausted"], "stack"),
        ("Loops", "Loop", Value::Null, &["running-time-exceeded"], "300ms"),
        ("Loops", "LoopOverHost", Value::Null, &["running-time-exceeded"], "300ms"),
    ];
    for (agent, method, payload, codes, text) in cases {
        for round in 0..2 {
            let actor = format!("{agent}/a");
            let (bad, other) = (format!("{agent} {method} {payload}, round {round}"), format!("{agent}/b"));
            let (answer, other) = futures::try_join!(
                host.invoke(&actor, method, &payload),
                host.invoke(&other, "Fine", &Value::Null),
            )?;
            let code = answer.code.as_deref().unwrap_or_default();
            assert!(answer.status == 500 && codes.contains(&code), "{bad}: {answer:?}");
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            for part in [&*actor, text, "Nothing of the turn was kept"] {
                assert!(detail.contains(part), "{bad}: {part:?} is not in {detail:?}");
            }
            assert_eq!((other.status.as_u16(), &other.body), (200, &Value::Null), "beside {bad}: {other:?}");
            assert_eq!(host.call(&actor, "Fine", &Value::Null).await?, Value::Null, "after {bad}");
            let line = host
                .wait_for_log(&bad, |line| line["code"] == code && message(line).contains(method))
                .await?;
            assert_eq!((&line["level"], &line["span"]["actor_id"]), (&json!("ERROR"), &json!("a")));
        }
    }
    host.wait_for_message("my last words").await?;

    // What fails before the first turn fails every turn, and no more than that.
    for (agent, code) in [("LoopsEarly", "running-time-exceeded"), ("PanicsEarly", "guest-trapped")] {
        for _ in 0..2 {
            let answer = host.invoke(&format!("{agent}/a"), "Fine", &Value::Null).await?;
            assert_eq!(answer.outcome(), (500, Some(code)), "{agent}");
        }
    }
    assert_eq!(host.call("Loops/c", "Fine", &Value::Null).await?, Value::Null);
    Ok(())
}

/// A runtime writes an exception to standard error, and traps. It may name what callers should not see.
#[tokio::test]
async fn what_an_agent_said_before_it_was_aborted_is_told_to_the_operator_alone() -> anyhow::Result<()> {
    let route = "[[routes]]\nmethod = \"POST\"\npath = \"/panic/{id}\"\nagent = \"Panics\"\ncall = \"Panic\"\n\
                 actor-id = { path = \"id\" }\n";
    let host = Host::start(&format!("{}{route}", manifest_of("Panics", "panics", ""))).await?;
    let long = format!("{} the end", "long ".repeat(2_000));
    for (words, end) in [("my last words", "my last words"), (&*long, "the end")] {
        let answer = host.invoke("Panics/a", "Panic", &json!(words)).await?;
        assert_eq!(answer.outcome(), (500, Some("guest-trapped")));
        assert!(answer.detail().contains(end) && answer.detail().len() < 5_000, "{answer:?}");
        let is_line = |line: &Value| line["code"] == "guest-trapped" && message(line).contains(end);
        host.wait_for_log("what it said", is_line).await?;
    }
    let answer = host.post("/panic/a", &json!("my last words")).await?;
    assert_eq!(answer.outcome(), (500, Some("guest-trapped")));
    assert!(!answer.detail().contains("my last words"), "{answer:?}");
    // What a turn says is not told of the next one.
    assert_eq!(host.call("Panics/a", "Fine", &Value::Null).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn an_instance_keeps_its_memory_within_the_limit_over_many_turns() -> anyhow::Result<()> {
    let host = Host::start(&manifest_of("Allocates", "allocates", "limits = { memory = \"8MiB\" }")).await?;
    let hold = async |megabytes: u32| host.call("Allocates/a", "Hold", &json!(megabytes)).await;
    assert_eq!((hold(3).await?, hold(3).await?), (json!(true), json!(true)));
    // 8 MiB are all memories together, and what was taken in earlier turns counts.
    assert_eq!(hold(3).await?, json!(false));
    assert_eq!(
        host.call("Allocates/b", "Hold", &json!(3)).await?,
        json!(true),
        "another instance has its own"
    );
    Ok(())
}

#[tokio::test]
async fn waiting_is_no_running_time_and_the_whole_turn_is_bounded_as_well() -> anyhow::Result<()> {
    // A loop must get its 300 ms of a processor within the time of the turn, also on a busy machine.
    let limits = "limits = { running-time = \"300ms\", turn-time = \"8s\" }";
    let host = Host::start(&exerciser(limits)).await?;
    host.call("Exerciser/a", "Sleep", &json!({"ms": 700})).await?;
    let code = async |method: &str, ms: u64| {
        let answer = host.invoke("Exerciser/a", method, &json!({"ms": ms})).await?;
        anyhow::Ok((answer.status.as_u16(), answer.code))
    };
    assert_eq!(code("Spin", 60_000).await?, (500, Some("running-time-exceeded".into())));
    assert_eq!(code("Sleep", 60_000).await?, (504, Some("turn-time-exceeded".into())));
    assert_eq!(host.call("Exerciser/a", "Calls", &Value::Null).await?, json!(1), "the instance is a new one");
    // Each turn has its time anew.
    for _ in 0..4 {
        assert_eq!(code("Spin", 100).await?, (200, None));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_guest_did_not_run_does_not_count() -> anyhow::Result<()> {
    // On a busy machine the guests may have had much of their time before the host stands still: then once more, with more time.
    for limit_ms in [500, 2_000, 8_000] {
        if stands_still_beyond(limit_ms).await? {
            return Ok(());
        }
    }
    anyhow::bail!("the guests had run for most of their time before the host stood still")
}

/// Stops a host for longer than its turns may last. Answers `false` if that shows nothing.
async fn stands_still_beyond(limit_ms: u64) -> anyhow::Result<bool> {
    let limits = format!("limits = {{ running-time = \"{limit_ms}ms\", turn-time = \"{limit_ms}ms\" }}");
    let host = Arc::new(Host::start(&exerciser(&limits)).await?);
    // The guests look at the clock, which goes on.
    let still_ms = limit_ms * 3 / 2;
    let start = Instant::now();
    let calls = [("Exerciser/busy", "Spin"), ("Exerciser/waits", "Sleep")]
        .map(|(actor, method)| (actor, host.begin(actor, method, &json!({"ms": still_ms}))));
    for (actor, call) in &calls {
        if !host.is_caught(actor, 0, call).await? {
            return Ok(false);
        }
    }
    host.signal("STOP")?;
    let before = start.elapsed();
    tokio::time::sleep(Duration::from_millis(still_ms)).await;
    let start = Instant::now();
    host.signal("CONT")?;
    let mut answers = Vec::new();
    for (_, call) in calls {
        answers.push(call.await??);
    }
    let (ran, limit) = (before + start.elapsed(), Duration::from_millis(limit_ms));
    if answers.iter().all(|answer| answer.status == 200) {
        return Ok(true);
    }
    anyhow::ensure!(ran > limit / 2, "ran for {ran:?} of {limit:?}: {answers:?}");
    Ok(false)
}

#[tokio::test]
async fn loops_do_not_stop_the_host_from_answering() -> anyhow::Result<()> {
    let host = manifest_of("Loops", "loops", "limits = { running-time = \"10m\", turn-time = \"10m\" }");
    let host = Arc::new(Host::start(&host).await?);
    // More than there are threads for guests, so that one that never yields would be found out.
    let actors = 2 * std::thread::available_parallelism()?.get();
    let begin = |n: usize| host.begin(&format!("Loops/{n}"), "Loop", &Value::Null);
    let loops = (0..actors).map(begin).collect::<Vec<_>>();
    for n in 0..actors {
        host.until_busy(&format!("Loops/{n}"), 0).await?;
    }
    for _ in 0..10 {
        assert_eq!(host.get("/healthz").await?.status, 200);
        assert_eq!(host.call("Loops/free", "Fine", &Value::Null).await?, Value::Null);
    }
    assert!(loops.iter().all(|call| !call.is_finished()), "they were to loop meanwhile");
    loops.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

fn floods(limits: &str) -> String {
    let permissions = "[agents.Floods.permissions]
publish = [\"daca-pubsub/user-chat\"]
bindings = [\"twilio-binding/create\"]";
    manifest_of("Floods", "floods", &format!("limits = {{ {limits} }}\n{permissions}"))
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_rest_is_kept() -> anyhow::Result<()> {
    let host = Host::start(&floods("memory = \"32MiB\", running-time = \"20s\"")).await?;
    // The method, and how much of it is taken.
    let cases = [
        ("Write10000Keys", 1_000),
        ("Read10000Keys", 0),
        ("ManyKeys", 0),
        ("Publish1000", 100),
        ("HugeKey", 0),
        ("HugeValue", 0),
        ("HugeEvent", 0),
        ("HugeMetadata", 0),
        ("ManyMetadata", 0),
    ];
    for (method, accepted) in cases {
        let reply = host.call("Floods/a", method, &Value::Null).await?;
        assert_eq!(reply["accepted"], accepted, "{method}: {reply}");
        assert_eq!(reply["error"]["case"], "too-large", "{method}: {reply}");
        assert!(reply["error"]["message"].as_str().is_some_and(|text| text.len() < 300), "{method}: {reply}");
    }
    eventually("what was taken is sent", async || {
        Ok(host.get_admin("/outbox").await?.body["counts"] == json!({"pending": 0, "sent": 100, "failed": 0}))
    })
    .await?;
    // Just below the limits, everything is taken.
    for (method, bytes) in [("HugeKey", 512), ("HugeValue", 1_048_576), ("HugeEvent", 1_048_576)] {
        let reply = host.call("Floods/a", method, &json!(bytes)).await?;
        assert_eq!(reply, json!({"accepted": 1, "error": null}), "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_keys_in_a_turn_are_possible_where_the_manifest_allows_them() -> anyhow::Result<()> {
    let limits = "state-keys-per-turn = 10_000, running-time = \"20s\"";
    let host = Host::start(&floods(limits)).await?;
    for method in ["Write10000Keys", "Read10000Keys"] {
        let reply = host.call("Floods/a", method, &Value::Null).await?;
        assert_eq!(reply["error"], Value::Null, "{method}: {reply}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reply_that_is_too_large_fails_its_turn() -> anyhow::Result<()> {
    let host = Host::start(&floods("memory = \"64MiB\", running-time = \"20s\"")).await?;
    let answer = host.invoke("Floods/a", "Reply10MB", &Value::Null).await?;
    assert_eq!(answer.outcome(), (500, Some("reply-too-large")), "{answer:?}");
    let megabyte = host.call("Floods/a", "Reply", &json!(1_000_000)).await?;
    assert_eq!(megabyte.as_str().map(str::len), Some(999_998));

    // Under the usual limit of memory it is the memory that ends first.
    let host = Host::start(&floods("running-time = \"20s\"")).await?;
    let answer = host.invoke("Floods/a", "Reply10MB", &Value::Null).await?;
    assert_eq!(answer.outcome(), (500, Some("memory-exceeded")), "{answer:?}");

    // What the turn did is not kept: the first call's `activate` counts, the second one's does not.
    let host = Host::start(&exerciser("limits = { reply = \"100B\" }")).await?;
    let answer = host.invoke("Exerciser/a", "Echo", &json!("x".repeat(200))).await?;
    assert_eq!(answer.code.as_deref(), Some("reply-too-large"), "{answer:?}");
    assert_eq!(host.call("Exerciser/a", "Activations", &Value::Null).await?, json!(1));
    Ok(())
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() -> anyhow::Result<()> {
    let host = Host::start(&floods("running-time = \"20s\"")).await?;
    let reply = host.call("Floods/a", "Log100000", &Value::Null).await?;
    assert_eq!(reply, json!({"accepted": 100_000, "error": null}));
    let line = host.wait_for_log("the cut", |line| line["code"] == "log-lines-exceeded").await?;
    assert!(message(&line).contains("99000"), "{line}");
    // A line of two megabytes is cut too. The next turn may log again, and by then the lines of the first are all there.
    host.call("Floods/a", "HugeLine", &Value::Null).await?;
    let line = host.wait_for_message("aaaaaaaa").await?;
    assert!(message(&line).len() <= 8 * 1024, "{}", message(&line).len());
    let lines = host.log().iter().filter(|line| message(line).starts_with("flood ")).count();
    assert_eq!(lines, 1_000);
    Ok(())
}

#[tokio::test]
async fn an_actor_may_not_fill_the_disk() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("limits = { state-total = \"1MiB\" }")).await?;
    let set = async |key: &str| {
        let value = json!({"key": key, "value": "x".repeat(400_000)});
        host.invoke("Exerciser/a", "SetState", &value).await
    };
    assert_eq!(set("1").await?.status, 200);
    assert_eq!(set("2").await?.status, 200);
    let answer = set("3").await?;
    assert_eq!(answer.outcome(), (507, Some("state-total-exceeded")));
    assert!(answer.body["detail"].as_str().is_some_and(|text| text.contains("state-total")), "{answer:?}");
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "3"})).await?, Value::Null);
    // What it has can be written anew and deleted, and then there is room again.
    assert_eq!(set("2").await?.status, 200);
    host.call("Exerciser/a", "DeleteState", &json!({"key": "1"})).await?;
    assert_eq!(set("3").await?.status, 200);
    // Another actor has its own part.
    let other = json!({"key": "1", "value": "x".repeat(400_000)});
    assert_eq!(host.call("Exerciser/b", "SetState", &other).await?, Value::Null);
    Ok(())
}
