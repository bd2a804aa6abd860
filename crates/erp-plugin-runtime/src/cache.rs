//! Native code of components, kept between starts.
//!
//! What lies in the cache is machine code that the host will run, so every entry carries a seal (HMAC-SHA-256) over
//! the component's hash, the engine's fingerprint and the code, made with a key of this host that lies outside the
//! cache. Bytes are read into memory, checked there, and loaded from there. An entry that is missing, stale, flipped
//! or planted is simply compiled again.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

type Seal = Hmac<Sha256>;

const SEAL_BYTES: usize = 32;

/// How many entries this process has written.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A folder of sealed native code.
#[derive(Clone)]
pub struct CodeCache {
    folder: PathBuf,
    key: [u8; 32],
}

impl CodeCache {
    /// Opens a cache, making the folder and the key if they are not there. `random` gives the bytes of a new key; the
    /// key's file must be readable by its owner alone and must not lie in the folder.
    pub fn open(folder: &Path, key_file: &Path, random: impl FnOnce() -> [u8; 32]) -> io::Result<Self> {
        if key_file.starts_with(folder) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the key must not lie in the cache's own folder",
            ));
        }
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), key: key(key_file, random)? })
    }

    /// The code of a component, if there is an entry that this host has sealed for this engine.
    #[must_use]
    pub fn get(&self, component: &[u8; 32], fingerprint: &[u8; 32]) -> Option<Vec<u8>> {
        let mut entry = fs::read(self.path(component, fingerprint)).ok()?;
        let code_bytes = entry.len().checked_sub(SEAL_BYTES)?;
        let seal = entry.split_off(code_bytes);
        self.seal(component, fingerprint, &entry)?.verify_slice(&seal).ok()?;
        Some(entry)
    }

    /// Keeps the code of a component. A cache that cannot be written costs time, not correctness.
    pub fn put(&self, component: &[u8; 32], fingerprint: &[u8; 32], code: &[u8]) {
        let Some(seal) = self.seal(component, fingerprint, code) else { return };
        let path = self.path(component, fingerprint);
        // Other processes, and other threads of this one, may be writing the same entry.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{number}.partial", std::process::id()));
        let written = fs::File::create(&partial).and_then(|mut file| {
            file.write_all(code)?;
            file.write_all(&seal.finalize().into_bytes())?;
            fs::rename(&partial, &path)
        });
        if written.is_err() {
            drop(fs::remove_file(&partial));
        }
    }

    /// Whether entries can be kept, which [`put`](Self::put) does not tell.
    pub fn check(&self) -> io::Result<()> {
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let probe = self.folder.join(format!("{}-{number}.partial", std::process::id()));
        fs::write(&probe, [0; SEAL_BYTES])?;
        fs::remove_file(&probe)
    }

    fn seal(&self, component: &[u8; 32], fingerprint: &[u8; 32], code: &[u8]) -> Option<Seal> {
        let mut seal = Seal::new_from_slice(&self.key).ok()?;
        seal.update(component);
        seal.update(fingerprint);
        seal.update(code);
        Some(seal)
    }

    fn path(&self, component: &[u8; 32], fingerprint: &[u8; 32]) -> PathBuf {
        let hex = |bytes: &[u8]| bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        self.folder.join(format!("{}-{}.cwasm", hex(component), hex(fingerprint)))
    }
}

impl std::fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeCache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn key(file: &Path, random: impl FnOnce() -> [u8; 32]) -> io::Result<[u8; 32]> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    if !file.exists() {
        // Written in full before it has its name, so that nobody finds half a key; whoever links first is right.
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = file.with_extension(format!("{}-{number}.partial", std::process::id()));
        let linked = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut new| new.write_all(&random()))
            .and_then(|()| fs::hard_link(&partial, file));
        drop(fs::remove_file(&partial));
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut existing = fs::File::open(file)?;
    if existing.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} can be read by others; chmod 600 it, or delete it to get a new one", file.display()),
        ));
    }
    let mut key = [0; 32];
    existing.read_exact(&mut key).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is cut off; delete it to get a new one", file.display()),
        )
    })?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, CodeCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache =
            CodeCache::open(&folder.path().join("code"), &folder.path().join("key"), || [7; 32]).unwrap();
        (folder, cache)
    }

    #[test]
    fn an_entry_comes_back_for_its_component_and_engine_only() {
        let (_folder, cache) = cache();
        cache.put(&[1; 32], &[2; 32], b"code");
        assert_eq!(cache.get(&[1; 32], &[2; 32]).as_deref(), Some(&b"code"[..]));
        assert_eq!(cache.get(&[1; 32], &[3; 32]), None);
        assert_eq!(cache.get(&[9; 32], &[2; 32]), None);
    }

    #[test]
    fn whether_entries_can_be_kept_is_told() {
        let (folder, cache) = cache();
        cache.check().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("code")).unwrap().count(), 0);
        fs::remove_dir(folder.path().join("code")).unwrap();
        assert!(cache.check().is_err());
    }

    #[test]
    fn flipped_cut_moved_and_planted_entries_are_not_loaded() {
        let (_folder, cache) = cache();
        cache.put(&[1; 32], &[2; 32], b"code");
        let path = cache.path(&[1; 32], &[2; 32]);
        let good = fs::read(&path).unwrap();
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.get(&[1; 32], &[2; 32]), None, "byte {index}");
        }
        fs::write(&path, &good[..10]).unwrap();
        assert_eq!(cache.get(&[1; 32], &[2; 32]), None);
        // The entry of one component under the name of another.
        fs::write(cache.path(&[5; 32], &[2; 32]), &good).unwrap();
        assert_eq!(cache.get(&[5; 32], &[2; 32]), None);
    }

    #[test]
    fn another_hosts_seal_is_no_seal() {
        let (folder, cache) = cache();
        cache.put(&[1; 32], &[2; 32], b"code");
        let other =
            CodeCache::open(&folder.path().join("code"), &folder.path().join("other"), || [8; 32]).unwrap();
        assert_eq!(other.get(&[1; 32], &[2; 32]), None);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (code, key) = (folder.path().join("code"), folder.path().join("key"));
        CodeCache::open(&code, &key, || [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = CodeCache::open(&code, &key, || [7; 32]).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        let inside = code.join("key");
        assert!(CodeCache::open(&code, &inside, || [7; 32]).is_err());
    }
}
