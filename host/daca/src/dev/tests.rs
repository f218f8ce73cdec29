use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Takes everything but what begins with "bad", and tells what it was given.
struct Taker(mpsc::UnboundedSender<String>);

#[async_trait]
impl Redeploy for Taker {
    async fn redeploy(&self, _: &str, content: FileContent) -> Result<String, String> {
        let text = String::from_utf8_lossy(&content.wasm).into_owned();
        let is_bad = text.starts_with("bad");
        let _ = self.0.send(text);
        if is_bad { Err("it is bad".into()) } else { Ok("it serves".into()) }
    }

    fn serving(&self, _: &str) -> Option<String> {
        None
    }
}

/// A manifest with one agent type that a command builds from the folder `src`, in which there is one file.
struct Workplace {
    folder: TempDir,
    shutdown: CancellationToken,
    given: mpsc::UnboundedReceiver<String>,
    running: tokio::task::JoinHandle<()>,
}

impl Workplace {
    async fn start(build: &str) -> anyhow::Result<Workplace> {
        let folder = TempDir::new()?;
        std::fs::create_dir(folder.path().join("src"))?;
        std::fs::write(folder.path().join("src/a.txt"), "first")?;
        let text = format!(
            "[agents.A]\ncomponent = \"a.wasm\"\n[agents.A.dev]\nbuild = {build:?}\nwatch = [\"src\"]\n"
        );
        Workplace::begin(folder, &text)
    }

    fn begin(folder: TempDir, manifest: &str) -> anyhow::Result<Workplace> {
        let manifest = Manifest::parse(&folder.path().join("agents.toml"), manifest)?;
        let (sender, given) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let dev = Dev::new(&manifest)?;
        let running = tokio::spawn(dev.run(Arc::new(Taker(sender)), shutdown.clone()));
        Ok(Workplace { folder, shutdown, given, running })
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }

    /// What the next component holds that is handed over.
    async fn next(&mut self) -> anyhow::Result<String> {
        let next = tokio::time::timeout(TIMEOUT, self.given.recv()).await;
        next.context("nothing was built")?.context("the loop has ended")
    }

    /// Waits for a file that a build writes.
    async fn until(&self, name: &str) -> anyhow::Result<String> {
        let read = async {
            loop {
                match std::fs::read_to_string(self.folder.path().join(name)) {
                    Ok(text) if text.ends_with('\n') => return text,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(TIMEOUT, read).await.with_context(|| format!("no build wrote {name}"))
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(tokio::time::timeout(TIMEOUT, self.running).await.context("it does not end")??)
    }
}

#[tokio::test]
async fn what_is_saved_is_built_and_handed_over_whatever_came_of_the_one_before() -> anyhow::Result<()> {
    let mut place =
        Workplace::start("! grep wrong src/a.txt && cp src/a.txt a.wasm && echo >> built").await?;
    place.write("src/a.txt", "bad, but built")?;
    assert_eq!(place.next().await?, "bad, but built");
    // A build that fails hands nothing over.
    place.write("src/a.txt", "wrong")?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    place.write("src/a.txt", "second")?;
    assert_eq!(place.next().await?, "second");
    // Nor does one that changes nothing. Files of an editor start none.
    for name in ["src/.a.txt.swp", "src/a.txt~", "src/4913"] {
        place.write(name, "x")?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(std::fs::read_to_string(place.folder.path().join("built"))?, "\n\n");
    place.write("src/new.txt", "x")?;
    place.write("src/a.txt", "third")?;
    assert_eq!(place.next().await?, "third");
    place.stop().await
}

#[tokio::test]
async fn a_script_is_its_own_source_and_nothing_builds_it() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("a.ts"), "first")?;
    let mut place = Workplace::begin(folder, "[agents.A]\ncomponent = \"a.ts\"\n")?;
    // Files beside it are those of its tests and packages.
    place.write("a.test.ts", "x")?;
    place.write("a.ts", "bad")?;
    assert_eq!(place.next().await?, "bad");
    place.write("a.ts", "second")?;
    assert_eq!(place.next().await?, "second");
    place.stop().await
}

#[tokio::test]
async fn a_script_that_is_missing_is_waited_for() -> anyhow::Result<()> {
    let mut place = Workplace::begin(TempDir::new()?, "[agents.A]\ncomponent = \"a.ts\"\n")?;
    place.write("a.ts", "first")?;
    assert_eq!(place.next().await?, "first");
    place.stop().await
}

/// The agent may be in any language.
#[test]
fn without_sources_the_help_names_the_table_and_no_tool_of_one_language() -> anyhow::Result<()> {
    let manifest = Manifest::parse(Path::new("agents.toml"), "[agents.A]\ncomponent = \"a.wasm\"\n")?;
    let error = Dev::new(&manifest).err().context("there is nothing to build")?;
    let told = rendered(&error);
    assert!(told.starts_with("error[dev-nothing-to-build]: "), "{told}");
    assert!(told.contains("[agents.TYPE.dev]") && !told.contains("cargo"), "{told}");
    Ok(())
}

#[tokio::test]
async fn what_is_saved_during_a_build_is_built_after_it() -> anyhow::Result<()> {
    let build = "cp src/a.txt a.wasm; echo >> begun; while ! [ -e go ]; do sleep 0.02; done";
    let mut place = Workplace::start(build).await?;
    place.write("src/a.txt", "second")?;
    place.until("begun").await?;
    place.write("src/a.txt", "third")?;
    place.write("go", "")?;
    assert_eq!(place.next().await?, "second");
    assert_eq!(place.next().await?, "third");
    place.stop().await
}

#[tokio::test]
async fn a_shutdown_kills_the_build_and_all_that_it_started() -> anyhow::Result<()> {
    let place = Workplace::start("sleep 1000 & echo $! > pid; wait").await?;
    place.write("src/a.txt", "second")?;
    let pid = place.until("pid").await?;
    place.stop().await?;
    let is_gone = async {
        // One that ended and that nobody has asked about yet has the state Z.
        while std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, is_gone).await.context("a process of the build runs on")
}

#[test]
fn a_package_of_cargo_needs_no_table() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let manifest = folder.path().join("agents.toml");
    let command = |component: &str| {
        infer::cargo(&manifest, &folder.path().join(component)).map(|dev| dev.build).unwrap_or_default()
    };
    assert_eq!(command("target/wasm32-wasip2/release/a.wasm"), "", "there is no package");
    std::fs::write(folder.path().join("Cargo.toml"), "")?;
    std::fs::create_dir(folder.path().join("src"))?;
    for (component, expected) in [
        ("target/wasm32-wasip2/debug/a.wasm", "cargo build --target wasm32-wasip2"),
        ("target/wasm32-wasip2/release/a.wasm", "cargo build --target wasm32-wasip2 --release"),
        ("target/wasm32-wasip2/guest/a.wasm", "cargo build --target wasm32-wasip2 --profile guest"),
        ("target/wasm32-wasip2/a;b/a.wasm", ""),
        ("target/wasm32-wasip2/release/examples/a.wasm", ""),
        ("a.wasm", ""),
    ] {
        assert_eq!(command(component), expected, "{component}");
    }
    Ok(())
}
