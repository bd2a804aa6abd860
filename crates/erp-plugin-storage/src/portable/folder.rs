//! The folder: written under another name until it is whole, read after its files were checked.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::contents::{Contents, FORMAT, FileOf, VERSION};
use super::error::PortableError;

const CONTENTS: &str = "export.json";

/// A folder in the making. One that is dropped leaves nothing.
pub(super) struct Writer {
    folder: PathBuf,
    /// Beside it, and readable by its owner alone: what is in it is a business's own.
    partial: TempDir,
    open: Option<Open>,
    files: Vec<FileOf>,
}

struct Open {
    path: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    of: FileOf,
}

impl Writer {
    pub(super) fn create(folder: &Path) -> Result<Self, PortableError> {
        if folder.symlink_metadata().is_ok() {
            return Err(PortableError::invalid(format!(
                "{} is there already; name a folder that is not",
                folder.display()
            )));
        }
        let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new("."));
        let partial = tempfile::Builder::new().prefix(".erp-plugin-export-").tempdir_in(beside);
        let partial = partial.map_err(|error| failed("make a folder in", beside, error))?;
        Ok(Self { folder: folder.to_owned(), partial, open: None, files: Vec::new() })
    }

    /// Adds a line to a file. Those of one file come one after the other.
    pub(super) fn line(&mut self, file: &str, table: &str, line: &str) -> Result<(), PortableError> {
        if self.open.as_ref().is_none_or(|open| open.of.file != file) {
            self.close()?;
            self.open = Some(self.open(file, table)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.hash.update(line.as_bytes());
        open.hash.update(b"\n");
        open.of.rows += 1;
        let written = open.out.write_all(line.as_bytes()).and_then(|()| open.out.write_all(b"\n"));
        written.map_err(|error| failed("write", &open.path, error))
    }

    fn open(&self, file: &str, table: &str) -> Result<Open, PortableError> {
        let path = self.partial.path().join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed("make", folder, error))?;
        }
        let out = File::create_new(&path).map_err(|error| failed("make", &path, error))?;
        let of = FileOf { file: file.to_owned(), table: table.to_owned(), rows: 0, sha256: String::new() };
        Ok(Open { path, out: BufWriter::new(out), hash: Sha256::new(), of })
    }

    fn close(&mut self) -> Result<(), PortableError> {
        let Some(Open { path, out, hash, of }) = self.open.take() else { return Ok(()) };
        let out = out.into_inner().map_err(|error| failed("write", &path, error.into_error()))?;
        out.sync_all().map_err(|error| failed("write", &path, error))?;
        self.files.push(FileOf { sha256: hex(hash), ..of });
        Ok(())
    }

    /// Writes what the folder has, and gives it its name.
    pub(super) fn finish(
        mut self,
        contents: impl FnOnce(Vec<FileOf>) -> Contents,
    ) -> Result<Contents, PortableError> {
        self.close()?;
        let contents = contents(std::mem::take(&mut self.files));
        let path = self.partial.path().join(CONTENTS);
        let json = serde_json::to_vec_pretty(&contents)
            .map_err(|error| failed("write", &path, io::Error::other(error)))?;
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&json)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|error| failed("write", &path, error))?;
        fs::rename(self.partial.path(), &self.folder).map_err(|error| failed("make", &self.folder, error))?;
        // It is called otherwise now, and stays.
        drop(self.partial.keep());
        Ok(contents)
    }
}

/// A folder that is whole: what it has, each file as long and with the hash that it says.
pub(super) struct Reader {
    folder: PathBuf,
    pub(super) contents: Contents,
}

impl Reader {
    pub(super) fn open(folder: &Path) -> Result<Self, PortableError> {
        let path = folder.join(CONTENTS);
        let json = fs::read(&path).map_err(|error| failed("read", &path, error))?;
        let wrong = |why: String| PortableError::invalid(format!("{} {why}", path.display()));
        let contents: serde_json::Value = serde_json::from_slice(&json)
            .map_err(|error| wrong(format!("is no JSON: {error}; name the folder of an export")))?;
        let says = |key: &str| contents.get(key).cloned().unwrap_or_default();
        if says("format") != FORMAT {
            return Err(wrong("is of no export of erp-plugin; name another folder".to_owned()));
        }
        let version = says("version");
        if version != VERSION {
            return Err(wrong(format!(
                "has the form {version}, and this release reads {VERSION}; take another"
            )));
        }
        let contents =
            serde_json::from_value(contents).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let own = Self { folder: folder.to_owned(), contents };
        for file in &own.contents.files {
            own.check(file)?;
        }
        Ok(own)
    }

    fn path(&self, file: &FileOf) -> Result<PathBuf, PortableError> {
        let relative = Path::new(&file.file);
        if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(PortableError::invalid(format!(
                "{CONTENTS} names {:?}, which is no file of the folder",
                file.file
            )));
        }
        Ok(self.folder.join(relative))
    }

    fn check(&self, file: &FileOf) -> Result<(), PortableError> {
        let path = self.path(file)?;
        let mut input = File::open(&path).map_err(|error| failed("read", &path, error))?;
        let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match input.read(&mut block).map_err(|error| failed("read", &path, error))? {
                0 => break,
                length => hash.update(block.get(..length).unwrap_or_default()),
            }
        }
        if hex(hash) == file.sha256 {
            return Ok(());
        }
        Err(PortableError::invalid(format!(
            "{} is not as it was exported: its SHA-256 is another; export again",
            path.display()
        )))
    }

    /// The lines of a file, each with its number from 1.
    pub(super) fn lines<'a>(
        &'a self,
        file: &FileOf,
    ) -> Result<impl Iterator<Item = Result<(u64, String), PortableError>> + Send + use<'a>, PortableError>
    {
        let path = self.path(file)?;
        let input = File::open(&path).map_err(|error| failed("read", &path, error))?;
        let lines = BufReader::new(input).lines();
        Ok((1..).zip(lines).map(move |(number, line)| match line {
            Ok(line) => Ok((number, line)),
            Err(error) => Err(failed("read", &path, error)),
        }))
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> PortableError {
    PortableError::File { doing, path: path.to_owned(), source }
}

fn hex(hash: Sha256) -> String {
    use std::fmt::Write as _;

    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
