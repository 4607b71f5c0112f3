//! What an account's owner runs behind the callback: a server that takes what WeChat pushes, and
//! answers what a test wants, if anything. It speaks HTTP by hand, so that it can also break it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Empty if there is none.
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Seen {
    /// The raw value of a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// The `echostr`, and this after it.
    Echo(&'static str),
    /// These bytes, then the end of the connection.
    Raw(&'static str),
    /// A body that does not end.
    Endless,
    /// 500, once it is released.
    Held(Arc<Notify>),
    /// Nothing, until the other side closes.
    Hang,
}

impl Reply {
    pub(crate) fn success() -> Self {
        Self::Answer(200, "success".to_owned())
    }
}

/// A callback on a port of its own. Dropping it ends it.
pub(crate) struct Owner {
    /// The address to push to, with a query of its own.
    pub(crate) url: String,
    notes: Arc<Notes>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Notes {
    seen: Mutex<Vec<Seen>>,
    left: AtomicUsize,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Owner {
    /// Does with the nth request, from 0, what `script` says.
    pub(crate) async fn spawn(
        script: impl Fn(usize) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let notes = Arc::<Notes>::default();
        let task = tokio::spawn({
            let notes = Arc::clone(&notes);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&notes), script.clone()));
                }
            }
        });
        Self {
            url: format!("http://{address}/wechat?id=1"),
            notes,
            task: task.abort_handle(),
        }
    }

    /// All requests that came whole, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.notes.seen.lock().unwrap().clone()
    }

    /// How many of those that were left hanging have been cut by the other side.
    pub(crate) fn left(&self) -> usize {
        self.notes.left.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, notes: Arc<Notes>, script: impl Fn(usize) -> Reply) {
    let Some(seen) = read(&mut stream).await else {
        return;
    };
    let nth = {
        let mut all = notes.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let answer = match script(nth) {
        Reply::Answer(status, body) => http(status, &body),
        Reply::Echo(more) => {
            let echo = seen.parameter("echostr").unwrap_or_default();
            http(200, &format!("{echo}{more}"))
        }
        Reply::Held(go) => {
            go.notified().await;
            http(500, "")
        }
        Reply::Raw(bytes) => bytes.to_owned(),
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok();
            while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
            return;
        }
        Reply::Hang => {
            stream.read_to_end(&mut Vec::new()).await.ok();
            notes.left.fetch_add(1, Ordering::SeqCst);
            return;
        }
    };
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn http(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// None if it ends early.
async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if let Some(seen) = parsed(&bytes) {
            return Some(seen);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn parsed(bytes: &[u8]) -> Option<Seen> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let header = |wanted: &str| {
        let lines = headers.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value.trim()))
            .unwrap_or_default()
    };
    let length = header("content-length").parse().unwrap_or(0);
    let body = bytes[end + 4..].get(..length)?;
    let mut words = first.split(' ');
    let method = words.next()?.to_owned();
    let (path, query) = words.next()?.split_once('?').unwrap_or_default();
    Some(Seen {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        content_type: header("content-type").to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    })
}
