use std::sync::atomic::AtomicU32;

use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::*;

const HOG: Share = Share(0);
const OTHER: Share = Share(1);

/// A pool with two types, and the number of interruptions.
fn pool(threads: usize) -> (Arc<Pool>, Arc<AtomicU32>) {
    let interrupts = Arc::new(AtomicU32::new(0));
    let counted = interrupts.clone();
    let interrupt = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (Pool::start(threads, 0, &[1, 1], interrupt).expect("threads"), interrupts)
}

/// Runs work to its end.
async fn run<T: Send + 'static>(
    pool: &Arc<Pool>,
    share: Share,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let (sender, result) = oneshot::channel();
    let work = async move {
        sender.send(work.await).ok();
    };
    pool.spawn(share, ActorUse::default(), Box::pin(work));
    result.await.expect("a result")
}

/// Has a defect, and drops the sender.
async fn panics(_answer: oneshot::Sender<()>) {
    panic!("a defect for a test");
}

#[tokio::test]
async fn work_runs_on_the_pool_and_the_runtime_wakes_it() {
    let (pool, _) = pool(1);
    let work = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (0..100).for_each(|_| std::hint::black_box(()));
        std::thread::current().name().map(str::to_owned)
    };
    assert_eq!(run(&pool, HOG, work).await.as_deref(), Some("guest-0"));
    // What has ended is counted when the thread comes back for more.
    assert_eq!(run(&pool, OTHER, async { 1 }).await, 1);
    assert!(pool.usage(HOG).used > 0);
    pool.close();
}

#[tokio::test]
async fn the_time_of_a_turn_is_that_of_its_actor_and_of_its_type() {
    let (pool, _) = pool(1);
    let (used, (sender, result)) = (ActorUse::default(), oneshot::channel());
    let work = async move {
        sender.send(()).ok();
    };
    pool.spawn(HOG, used.clone(), Box::pin(work));
    result.await.expect("it has run");
    // What has ended is counted when the thread comes back for more.
    run(&pool, OTHER, async {}).await;
    assert!(used.processor() > 0);
    assert_eq!(used.processor(), pool.usage(HOG).used);
    pool.close();
}

#[tokio::test]
async fn a_thread_outlives_a_panic() {
    let (pool, _) = pool(1);
    let (sender, result) = oneshot::channel();
    pool.spawn(HOG, ActorUse::default(), Box::pin(panics(sender)));
    assert!(result.await.is_err());
    assert_eq!(run(&pool, HOG, async { 1 }).await, 1);
    pool.close();
}

#[tokio::test]
async fn a_long_slice_is_interrupted_once_for_another_type_and_not_for_its_own() {
    let (pool, interrupts) = pool(1);
    let (begins, begun) = oneshot::channel();
    let seen = interrupts.clone();
    let end = Instant::now() + Duration::from_secs(20);
    let hog = async move {
        begins.send(()).ok();
        // Like a guest: it gives way only when it is interrupted.
        while seen.load(Ordering::SeqCst) == 0 && Instant::now() < end {
            std::hint::spin_loop();
        }
        yield_now().await;
    };
    pool.spawn(HOG, ActorUse::default(), Box::pin(hog));
    begun.await.expect("it has begun");
    tokio::time::sleep(10 * SHORT_SLICE).await;
    pool.spawn(HOG, ActorUse::default(), Box::pin(async {}));
    assert_eq!(interrupts.load(Ordering::SeqCst), 0, "its own type waits for the end of the slice");
    assert_eq!(run(&pool, OTHER, async { 1 }).await, 1);
    assert_eq!(interrupts.load(Ordering::SeqCst), 1);
    pool.close();
}

#[tokio::test]
async fn work_that_is_woken_while_it_runs_runs_again() {
    let (pool, _) = pool(2);
    let work = async {
        for _ in 0..100 {
            yield_now().await;
        }
    };
    run(&pool, HOG, work).await;
    pool.close();
}

#[tokio::test]
async fn a_closed_pool_drops_its_work() {
    let (pool, _) = pool(1);
    let (sender, result) = oneshot::channel();
    pool.close();
    pool.spawn(HOG, ActorUse::default(), Box::pin(panics(sender)));
    assert!(result.await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wakeup_is_lost() {
    let (pool, _) = pool(2);
    let callers = (0..100).map(|number| {
        let pool = pool.clone();
        async move {
            for round in 0..50 {
                let (sender, receiver) = oneshot::channel();
                let answers = async move {
                    sender.send(round).ok();
                };
                tokio::spawn(answers);
                assert_eq!(run(&pool, Share((number + round) % 2), receiver).await, Ok(round));
            }
        }
    });
    futures::future::join_all(callers).await;
    pool.close();
}
