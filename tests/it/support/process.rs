//! The real binary: arguments, environment, what it says, how it ends.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const BINARY: &str = env!("CARGO_BIN_EXE_wxqr");

/// A process of ours. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Where it runs, so that nothing it writes stays.
    _folder: TempDir,
    stdout: Captured,
    stderr: Captured,
}

/// What a finished process left behind.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary to its end.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Process::start(arguments, variables).output().await
}

impl Process {
    /// Starts the binary with these variables and no others of ours.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(BINARY), arguments, variables, ready(()))
    }

    /// The same with a standard error that is read from when the sender is dropped.
    pub(crate) fn start_unread(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> (Self, oneshot::Sender<()>) {
        let (read, is_read) = oneshot::channel();
        let is_read = async {
            is_read.await.ok();
        };
        let process = Self::start_by(Command::new(BINARY), arguments, variables, is_read);
        (process, read)
    }

    /// The same under a limit of open files, written as `ulimit` takes it: `-Sn 256` sets the soft
    /// limit alone.
    pub(crate) fn start_within(
        limit: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let line = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        Self::start_by_shell(&line, arguments, variables)
    }

    /// The same by a line of shell, which ends in `exec "$0" "$@"` or the like.
    pub(crate) fn start_by_shell(
        line: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, BINARY]);
        Self::start_by(shell, arguments, variables, ready(()))
    }

    fn start_by(
        mut command: Command,
        arguments: &[&str],
        variables: &[(&str, &str)],
        stderr_is_read: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WXQR_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .current_dir(folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = Captured::from(child.stdout.take().unwrap(), ready(()));
        let stderr = Captured::from(child.stderr.take().unwrap(), stderr_is_read);
        Self {
            child,
            _folder: folder,
            stdout,
            stderr,
        }
    }

    /// Starts `serve` on a free port and waits until it listens. The log has its addresses.
    pub(crate) async fn serve(variables: &[(&str, &str)]) -> (Self, Addresses) {
        let mut all = vec![("WXQR_LISTEN", "127.0.0.1:0"), ("WXQR_LOG_FORMAT", "json")];
        all.extend_from_slice(variables);
        let process = Self::start(&["serve"], &all);
        let addresses = process.addresses().await;
        (process, addresses)
    }

    /// Where it listens, once it does.
    pub(crate) async fn addresses(&self) -> Addresses {
        let line = self.wait_for_line("listening").await;
        Addresses {
            http: address_in(&line, "address").unwrap(),
            metrics: address_in(&line, "metrics"),
        }
    }

    /// Waits for a line with this text on either stream.
    pub(crate) async fn wait_for_line(&self, text: &str) -> String {
        let find = || {
            [self.stdout.text(), self.stderr.text()]
                .iter()
                .flat_map(|said| said.split_inclusive('\n'))
                .find(|line| line.ends_with('\n') && line.contains(text))
                .map(str::to_owned)
        };
        let started = Instant::now();
        while find().is_none() {
            let (stdout, stderr) = (self.stdout(), self.stderr());
            let in_time = started.elapsed() < super::TIMEOUT;
            assert!(in_time, "no line with {text:?}: {stdout}\n{stderr}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        find().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Its current memory, in bytes; none if the system does not report it.
    pub(crate) fn memory(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        let arguments = [format!("-{name}"), self.id().to_string()];
        assert!(kill.args(arguments).status().unwrap().success());
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn output(mut self) -> Output {
        let deadline = tokio::time::timeout(super::TIMEOUT, self.child.wait());
        let status: ExitStatus = deadline.await.expect("the process ends").unwrap();
        Output {
            status: status.code().expect("it ends by itself, not by a signal"),
            stdout: self.stdout.finish().await,
            stderr: self.stderr.finish().await,
        }
    }
}

/// Where a service says that it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
}

/// The address behind a field of a log line, in either format.
fn address_in(line: &str, field: &str) -> Option<SocketAddr> {
    let rest = [format!("\"{field}\":\""), format!("{field}=")]
        .iter()
        .find_map(|start| line.split_once(start.as_str()))?
        .1;
    let end = rest
        .find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A stream that is read while the process runs.
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Captured {
    fn from(
        mut stream: impl AsyncRead + Unpin + Send + 'static,
        is_read: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let reader = tokio::spawn(async move {
            is_read.await;
            let mut piece = [0; 8192];
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                kept.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    async fn finish(self) -> String {
        self.reader.await.unwrap();
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}
