//! Starting the binary: once for an answer, or as a server that is signalled and killed.
//!
//! Invariant: a process gets the settings that its test names and no others, and one that
//! panicked never counts as one that answered.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;

/// Environment variables of the product begin so.
const VARIABLE_PREFIX: &str = "VITALOG_";
/// What `serve` prints before the addresses it took, in this order.
const LISTENING: &str = "grpc listening on ";
/// See [`LISTENING`].
const HTTP_LISTENING: &str = "http listening on ";

/// The binary, the directory of its store, and its settings.
#[derive(Clone, Debug)]
pub struct Vitalog {
    program: PathBuf,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

impl Vitalog {
    /// The binary `program` on the store in `data`, with default settings.
    #[must_use]
    pub fn new(program: &str, data: &Path) -> Self {
        Self {
            program: program.into(),
            data: data.to_owned(),
            settings: Vec::new(),
        }
    }

    /// With an environment variable that is a setting, such as `VITALOG_STORE__WAL_FILE_BYTES`.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The directory of the store.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The command with `arguments`, not yet started.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with(VARIABLE_PREFIX))
            {
                command.env_remove(name);
            }
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
            .env("VITALOG_DATA", &self.data)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// Where it cannot be started, is ended by a signal, or panics.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output().expect("the binary starts");
        Outcome::of(&output, arguments)
    }

    /// Runs a command that must end well, and returns its stdout.
    ///
    /// # Panics
    /// Where it does not exit with 0.
    pub fn stdout_of(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{arguments:?}: {outcome:?}");
        outcome.stdout
    }

    /// The rows of a statement, each an object.
    ///
    /// # Panics
    /// Where the statement fails, or its answer is not one object a line.
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        json_lines(&self.stdout_of(&["sql", "--format", "jsonl", "-c", sql]))
    }

    /// The number of rows of `events`.
    ///
    /// # Panics
    /// As [`Vitalog::rows`].
    #[must_use]
    pub fn count_events(&self) -> u64 {
        let rows = self.rows("SELECT count(*) AS n FROM events");
        rows[0]["n"].as_u64().expect("a count")
    }

    /// Starts `serve` on free ports and does not wait for it.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn serve(&self) -> Serving {
        Serving::start(self.command(&["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]))
    }
}

/// Reads a text of one JSON value a line.
///
/// # Panics
/// Where a line is no JSON.
fn json_lines(text: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    text.lines().map(read).collect()
}

/// How a process ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Outcome {
    fn of(output: &Output, arguments: &[&str]) -> Self {
        let stdout = String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8");
        let stderr = String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        let code = output.status.code();
        let code = code.unwrap_or_else(|| panic!("{arguments:?}: {}: {stderr}", output.status));
        Self {
            code,
            stdout,
            stderr,
        }
    }

    /// The number that stands behind `name` in a table of facts on stdout.
    ///
    /// # Panics
    /// Where there is no such fact.
    #[must_use]
    pub fn fact(&self, name: &str) -> u64 {
        let found = self
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let text = found.unwrap_or_else(|| panic!("no {name:?} in {self:?}"));
        text.trim().replace(',', "").parse().expect("a number")
    }
}

/// A process that serves; killed when dropped.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: NamedTempFile,
    /// Of gRPC, once its line was read.
    grpc: Option<SocketAddr>,
}

impl Serving {
    /// Starts a command that prints the address it listens on.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let stderr = NamedTempFile::new().expect("a file for stderr");
        let sink: File = stderr.reopen().expect("the file for stderr");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(sink)
            .spawn()
            .expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self {
            child,
            stdout,
            stderr,
            grpc: None,
        }
    }

    /// Waits for the line that says which address gRPC took; `None` where the process ends first.
    ///
    /// # Panics
    /// On an address that cannot be read.
    pub fn listening(&mut self) -> Option<SocketAddr> {
        if self.grpc.is_none() {
            self.grpc = self.address_behind(LISTENING);
        }
        self.grpc
    }

    /// The address of HTTP, which it must come to listen on. Asked after the one of gRPC.
    ///
    /// # Panics
    /// Where the process ends first.
    pub fn http_address(&mut self) -> SocketAddr {
        self.address_behind(HTTP_LISTENING)
            .unwrap_or_else(|| panic!("serve did not start: {}", self.stderr()))
    }

    /// Reads stdout up to the line that begins with `words`.
    fn address_behind(&mut self, words: &str) -> Option<SocketAddr> {
        let mut line = String::new();
        while self
            .stdout
            .read_line(&mut line)
            .is_ok_and(|length| length > 0)
        {
            if let Some(address) = line.trim_end().strip_prefix(words) {
                return Some(address.parse().expect("a socket address"));
            }
            line.clear();
        }
        None
    }

    /// The address, which it must come to listen on.
    ///
    /// # Panics
    /// Where the process ends first.
    pub fn address(&mut self) -> SocketAddr {
        self.listening()
            .unwrap_or_else(|| panic!("serve did not start: {}", self.stderr()))
    }

    /// The address as `--url` takes it.
    ///
    /// # Panics
    /// As [`Serving::address`].
    pub fn url(&mut self) -> String {
        format!("grpc://{}", self.address())
    }

    /// Sends a signal, such as `TERM`. One that comes after the end is lost.
    ///
    /// # Panics
    /// Where there is no shell.
    pub fn signal(&self, name: &str) {
        // `kill` is built into every shell; as a program it may be absent.
        let script = format!("kill -{name} {}", self.child.id());
        let _ = Command::new("sh")
            .args(["-c", &script])
            .status()
            .expect("a shell");
    }

    /// The most memory that it ever had resident, in bytes; `None` where the system does not say.
    #[must_use]
    pub fn resident_bytes_max(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes << 10)
    }

    /// Ends it with SIGKILL, which no process can notice; returns its exit code where it had
    /// ended by itself.
    ///
    /// # Panics
    /// Where the system refuses, or the process had panicked.
    pub fn kill(&mut self) -> Option<i32> {
        self.child.kill().expect("a child may be killed");
        let code = self.child.wait().expect("a child can be waited for").code();
        let stderr = self.stderr();
        assert!(!stderr.contains("panicked"), "{stderr}");
        code
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// Where the system cannot say.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// Where a signal ended it, or it panicked.
    pub fn wait(mut self) -> Outcome {
        let mut stdout = Vec::new();
        self.stdout
            .read_to_end(&mut stdout)
            .expect("stdout can be read");
        let status = self.child.wait().expect("a child can be waited for");
        let stderr = std::fs::read(self.stderr.path()).expect("the file for stderr");
        Outcome::of(
            &Output {
                status,
                stdout,
                stderr,
            },
            &["serve"],
        )
    }

    /// What it wrote to stderr so far.
    ///
    /// # Panics
    /// Where the file is gone.
    #[must_use]
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.stderr.path()).expect("the file for stderr")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
