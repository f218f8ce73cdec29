//! `cargo xtask test --k8s`: the tests on the cluster that the current context of kubectl names.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::Cargo;
use crate::image;
use crate::paths::{root, target};
use crate::steps::{self, Step};
use crate::toolchain::Part;

/// How the tests reach the cluster.
#[derive(clap::Args)]
pub(crate) struct ClusterArguments {
    /// The address by which pods reach this machine, for the stand-in of Twilio
    #[arg(long, value_name = "ADDRESS", env = "DACA_K8S_THIS_MACHINE")]
    this_machine: Option<String>,
    /// A command that brings the image to the cluster; {archive} stands for the archive's path, {image} for the image's name
    #[arg(long, value_name = "COMMAND", env = "DACA_K8S_LOAD_IMAGE")]
    load_image: Option<String>,
}

/// Builds the image and the tests, and runs those whose names contain one of the words; all without any.
pub(crate) fn run(arguments: &ClusterArguments, filter: &[String]) -> anyhow::Result<()> {
    let Some(this_machine) = &arguments.this_machine else {
        bail!(
            "--k8s needs --this-machine ADDRESS, by which pods reach this machine\n  help: in minikube it is what `minikube ssh getent hosts host.minikube.internal` prints"
        );
    };
    image::run(&image::Arguments::archive_only())?;
    steps::run(&[
        Step::toolchain(&[Part::Make]),
        // As the tests of the stack are built, so that nothing is built twice.
        Step::cargo("tests: cluster", Cargo::new("build -p daca-stack -p daca-bench -p daca-k8s")),
    ])?;
    let mut tests = Command::new(target().join("debug/daca-k8s"));
    tests.args(["--this-machine", this_machine]).args(filter).current_dir(root());
    if let Some(command) = &arguments.load_image {
        tests.args(["--load-image", command]);
    }
    let status = tests.status().context("starting daca-k8s")?;
    if !status.success() {
        bail!("the tests on the cluster failed");
    }
    Ok(())
}
