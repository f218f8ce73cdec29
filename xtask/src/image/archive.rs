//! An image as one file that container engines load: the layout of the OCI image specification 1.1 in a tar archive, with the
//! `manifest.json` of `docker save` beside it for older ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image FROM scratch.
pub(super) struct Image {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    /// Seconds since 1970, of every file and of the image.
    pub(super) created: u64,
    /// The user and the group that the program runs as.
    pub(super) user: u32,
    pub(super) layers: Vec<Layer>,
}

/// Files and folders of a layer, by their path in the image.
pub(super) struct Layer {
    entries: BTreeMap<String, LayerEntry>,
}

enum LayerEntry {
    File { from: PathBuf, mode: u32 },
    Folder { owner: u32 },
}

/// The archive that was written.
pub(super) struct WrittenImage {
    /// The digest of the image's manifest.
    pub(super) digest: String,
    /// Bytes of all layers, compressed.
    pub(super) size: u64,
    /// Bytes of the last one.
    pub(super) last_layer: u64,
}

impl Layer {
    /// These files and folders of a folder, with all that is in them, and empty folders with their owners. All else is root's.
    pub(super) fn of(root: &Path, names: &[&str], empty: &[(&str, u32)]) -> anyhow::Result<Layer> {
        let mut layer = Layer { entries: BTreeMap::new() };
        for name in names {
            layer.add(root, name)?;
        }
        for (name, owner) in empty {
            layer.entries.insert((*name).to_owned(), LayerEntry::Folder { owner: *owner });
        }
        Ok(layer)
    }

    fn add(&mut self, root: &Path, name: &str) -> anyhow::Result<()> {
        let from = root.join(name);
        let found = fs::metadata(&from).with_context(|| from.display().to_string())?;
        if !found.is_dir() {
            let mode = if found.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            self.entries.insert(name.to_owned(), LayerEntry::File { from, mode });
            return Ok(());
        }
        self.entries.insert(name.to_owned(), LayerEntry::Folder { owner: 0 });
        for entry in fs::read_dir(&from)? {
            let inner = entry?.file_name();
            self.add(root, &format!("{name}/{}", inner.to_str().context("a file's name is not UTF-8")?))?;
        }
        Ok(())
    }

    /// The tar archive of the layer.
    fn tar(&self, time: u64) -> anyhow::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (name, entry) in &self.entries {
            let mut header = Header::new_ustar();
            header.set_mtime(time);
            header.set_gid(0);
            match entry {
                LayerEntry::File { from, mode } => {
                    let bytes = fs::read(from).with_context(|| from.display().to_string())?;
                    header.set_entry_type(EntryType::Regular);
                    header.set_mode(*mode);
                    header.set_uid(0);
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, name, &bytes[..])?;
                }
                LayerEntry::Folder { owner } => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(0o755);
                    header.set_uid(u64::from(*owner));
                    header.set_gid(u64::from(*owner));
                    header.set_size(0);
                    tar.append_data(&mut header, format!("{name}/"), std::io::empty())?;
                }
            }
        }
        Ok(tar.into_inner()?)
    }
}

impl Image {
    /// Writes the archive.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<WrittenImage> {
        let mut blobs = BTreeMap::new();
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let tar = layer.tar(self.created)?;
            diff_ids.push(digest(&tar));
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(&tar)?;
            layers.push(keep(&mut blobs, LAYER, gzip.finish()?));
        }
        let config = self.config(&diff_ids)?;
        let config = keep(&mut blobs, CONFIG, config.to_string().into_bytes());
        let annotations = self.labels.iter().cloned().collect::<BTreeMap<_, _>>();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": annotations,
        });
        let manifest = keep(&mut blobs, MANIFEST, manifest.to_string().into_bytes());
        let sizes = layers.iter().filter_map(|layer| layer["size"].as_u64()).collect::<Vec<_>>();
        let written = WrittenImage {
            digest: text(&manifest["digest"]),
            size: sizes.iter().sum(),
            last_layer: sizes.last().copied().unwrap_or_default(),
        };
        self.write_archive(path, &blobs, manifest, &config, &layers)
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(written)
    }

    fn write_archive(
        &self,
        path: &Path,
        blobs: &BTreeMap<String, Vec<u8>>,
        mut manifest: Value,
        config: &Value,
        layers: &[Value],
    ) -> anyhow::Result<()> {
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        manifest["annotations"] =
            json!({ "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": self.full_name() });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
        let file = |descriptor: &Value| format!("blobs/{}", text(&descriptor["digest"]).replace(':', "/"));
        let docker = json!([{
            "Config": file(config),
            "RepoTags": [self.name],
            "Layers": layers.iter().map(file).collect::<Vec<_>>(),
        }]);
        let mut tar = Builder::new(File::create(path)?);
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = Header::new_ustar();
            header.set_mode(0o644);
            header.set_mtime(self.created);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes)
        };
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add("index.json", index.to_string().as_bytes())?;
        add("manifest.json", docker.to_string().as_bytes())?;
        for (digest, bytes) in blobs {
            add(&format!("blobs/{}", digest.replace(':', "/")), bytes)?;
        }
        Ok(tar.into_inner()?.sync_all()?)
    }

    /// What `k8s/Containerfile` says, in the words of the specification (`config.md`).
    fn config(&self, diff_ids: &[String]) -> anyhow::Result<Value> {
        let user = format!("{0}:{0}", self.user);
        let created = rfc3339(self.created)?;
        let history =
            diff_ids.iter().map(|_| json!({ "created": created, "created_by": "cargo xtask image" }));
        Ok(json!({
            "created": created,
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": user,
                "Env": ["PATH=/", "DACA_COMPILED=/code"],
                "Entrypoint": ["/daca"],
                "Cmd": ["run", "--manifest", "/agents/manifest/agents.toml", "--listen", "0.0.0.0:8000", "--data", "/data"],
                "ExposedPorts": { "8000/tcp": {}, "8001/tcp": {} },
                "WorkingDir": "/",
                "Labels": self.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history.collect::<Vec<_>>(),
        }))
    }

    /// A name without a registry is in that of Docker, as far as containerd is concerned.
    fn full_name(&self) -> String {
        match self.name.split_once('/') {
            None => format!("docker.io/library/{}", self.name),
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => self.name.clone(),
            Some(_) => format!("docker.io/{}", self.name),
        }
    }
}

/// Keeps a blob, and answers its descriptor.
fn keep(blobs: &mut BTreeMap<String, Vec<u8>>, media_type: &str, bytes: Vec<u8>) -> Value {
    let digest = digest(&bytes);
    let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
    blobs.insert(digest, bytes);
    descriptor
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Seconds since 1970 as people and the specification write them.
pub(super) fn rfc3339(seconds: u64) -> anyhow::Result<String> {
    Ok(format!("{:.0}", Timestamp::from_second(i64::try_from(seconds)?)?))
}

/// The processor, in the words of Go.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
