//! `daca-k8s`: tests docs/operate/kubernetes.md on the cluster of the current kubectl context.
//!
//! Everything happens in a namespace of its own, which is removed at the end; the cluster has to have Dapr's control plane. The
//! image has to be on its nodes, or `--load-image` says how it gets there. [`cluster`] is kubectl, [`deployment`] the
//! ChatAgent in it, [`load`] its callers; each of [`scenarios`] is one promise. They run one after the other, because all of
//! them are about the same pods.

mod cluster;
mod deployment;
mod load;
mod scenarios;

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use cluster::Cluster;
use deployment::Deployment;

/// Tests docs/operate/kubernetes.md on a real cluster.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// The address by which pods reach this machine, where the stand-in for Twilio listens
    #[arg(long, value_name = "ADDRESS")]
    this_machine: IpAddr,
    /// The name of the image in the cluster
    #[arg(long, default_value = concat!("daca:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// A command that loads the image archive into the cluster; {archive} stands for its path, {image} for its name
    #[arg(long, value_name = "COMMAND")]
    load_image: Option<String>,
    /// Keep the namespace
    #[arg(long)]
    keep: bool,
    /// Only the scenarios whose names contain one of these
    filter: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = Cluster::new().await?;
    let result = in_cluster(arguments, &cluster).await;
    if result.is_err() {
        cluster.describe_trouble().await;
    }
    match arguments.keep {
        true => println!("the namespace {} is still there", cluster.namespace),
        // What went wrong before is the better thing to say.
        false => return result.and(cluster.remove().await),
    }
    result
}

async fn in_cluster(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    if let Some(command) = &arguments.load_image {
        cluster.load_image(command, &arguments.image).await?;
    }
    let start = Instant::now();
    let deployment = Deployment::create(cluster, arguments.this_machine, &arguments.image).await?;
    println!("walk: applied and ready in {:.1} s", start.elapsed().as_secs_f64());
    let mut failed = Vec::new();
    let is_wanted = |name: &str| {
        arguments.filter.is_empty() || arguments.filter.iter().any(|part| name.contains(part.as_str()))
    };
    for (name, scenario) in scenarios::ALL.iter().filter(|(name, _)| is_wanted(name)) {
        println!("\n== {name}");
        let start = Instant::now();
        let result = scenario(&deployment).await;
        println!("== {name}: {} ({:.1} s)", result_word(&result), start.elapsed().as_secs_f64());
        if let Err(error) = result {
            println!("{error:#}");
            cluster.describe_trouble().await;
            failed.push(*name);
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn result_word(result: &anyhow::Result<()>) -> &'static str {
    if result.is_ok() { "ok" } else { "FAILED" }
}
