//! stub
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
#[derive(Debug, Clone)]
pub struct FileContent {
    pub wasm: Bytes,
    pub digest: String,
    pub signature: Option<String>,
    pub changed_at: SystemTime,
}
pub struct ComponentFile {
    path: PathBuf,
    last: Option<String>,
}
impl ComponentFile {
    pub fn new(path: &Path) -> ComponentFile {
        ComponentFile {
            path: path.to_owned(),
            last: std::fs::read(path).ok().map(|w| crate::component::digest(&w)),
        }
    }
    pub async fn read(path: &Path) -> std::io::Result<FileContent> {
        let wasm = std::fs::read(path)?;
        Ok(FileContent {
            digest: crate::component::digest(&wasm),
            wasm: wasm.into(),
            signature: None,
            changed_at: SystemTime::now(),
        })
    }
    pub async fn next(&mut self) -> FileContent {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Ok(content) = Self::read(&self.path).await
                && Some(&content.digest) != self.last.as_ref()
            {
                self.last = Some(content.digest.clone());
                return content;
            }
        }
    }
}
