//! A WeChat that promises to keep each connection, and closes it just when the second request
//! comes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::upstream::Reply;

/// Dropping it ends it.
pub(crate) struct ClosingPeer {
    pub(crate) address: SocketAddr,
    answered: Arc<Mutex<Vec<String>>>,
    cut: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl ClosingPeer {
    pub(crate) async fn spawn(answer: impl Fn(&str) -> Reply + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answered, cut) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (notes, cuts) = (Arc::clone(&answered), Arc::<AtomicUsize>::clone(&cut));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, notes, cuts) = (answer.clone(), Arc::clone(&notes), Arc::clone(&cuts));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some(path) = request(&mut stream).await else {
                        return;
                    };
                    let Reply(status, body) = answer(&path);
                    notes.lock().unwrap().push(path);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} OK\r\ncontent-length: {length}\r\nconnection: keep-alive\r\n\r\n"
                    );
                    let whole = format!("{head}{body}");
                    stream.write_all(whole.as_bytes()).await.ok();
                    if request(&mut stream).await.is_some() {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            address,
            answered,
            cut,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests of paths that end so were answered.
    pub(crate) fn answered(&self, end: &str) -> usize {
        let answered = self.answered.lock().unwrap();
        answered.iter().filter(|path| path.ends_with(end)).count()
    }

    /// How many requests came on a connection that was used before, and were closed without an
    /// answer.
    pub(crate) fn cut(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }
}

impl Drop for ClosingPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request and gives its path; none if the connection ended.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if path.is_none() {
            let target = line.split(' ').nth(1)?;
            path = target.split('?').next().map(str::to_owned);
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        } else if line.is_empty() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            return path;
        }
    }
}
