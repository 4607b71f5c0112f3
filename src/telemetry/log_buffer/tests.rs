use std::sync::mpsc::{self, Receiver, Sender};

use super::*;

/// Far longer than any of these tests takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A scripted writer: each write waits for a permit, and writes at most so many bytes.
struct Pipe {
    written: Sender<Vec<u8>>,
    permits: Receiver<io::Result<usize>>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Says that it waits.
        self.written.send(Vec::new()).ok();
        let Ok(permit) = self.permits.recv() else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let taken = bytes.len().min(permit?);
        self.written.send(bytes[..taken].to_vec()).ok();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pipe() -> (Pipe, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
    let ((written, output), (permit, permits)) = (mpsc::channel(), mpsc::channel());
    (Pipe { written, permits }, permit, output)
}

fn started(pipe: Pipe) -> LogBuffer {
    LogBuffer::start(pipe, |_| {}).unwrap()
}

/// Waits until the thread waits for the pipe.
fn wait_until_in_pipe(output: &Receiver<Vec<u8>>) {
    let entered = output.recv_timeout(TIMEOUT).expect("it writes");
    assert_eq!(entered, b"");
}

#[test]
fn lines_are_written_in_their_order_whatever_the_pipe_takes_at_once() {
    let (pipe, permit, output) = pipe();
    let buffer = started(pipe);
    for line in ["one\n", "two\n", "three\n"] {
        buffer.append(line.as_bytes());
    }
    let would_block = || Err(ErrorKind::WouldBlock.into());
    let interrupted = || Err(ErrorKind::Interrupted.into());
    for taken in [Ok(1), would_block(), Ok(5), interrupted(), Ok(1000)] {
        permit.send(taken).unwrap();
    }
    buffer.flush(TIMEOUT);
    let written: Vec<u8> = output.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn a_flush_gives_up_on_a_pipe_that_is_not_read() {
    let (pipe, _permit, output) = pipe();
    let buffer = started(pipe);
    buffer.append(b"one\n");
    buffer.flush(Duration::from_millis(1));
    assert_eq!(output.try_iter().flatten().count(), 0);
}

#[test]
fn what_does_not_fit_is_dropped_and_reported_once_after_the_pipe_is_read() {
    const LINE: &[u8; 1024] = &[b'\n'; 1024];
    const FIT: usize = MAX_BYTES / LINE.len();
    static BUFFER: OnceLock<LogBuffer> = OnceLock::new();
    fn fill() {
        (0..FIT).for_each(|_| BUFFER.get().unwrap().append(LINE));
    }
    let (pipe, permit, output) = pipe();
    // A line of the log, as all reports are, which finds the buffer full again.
    let report = |lines| {
        thread::spawn(fill).join().unwrap();
        let buffer = BUFFER.get().unwrap();
        buffer.append(format!("{lines} lost\n").as_bytes());
    };
    let buffer = LogBuffer::start(pipe, report).unwrap();
    BUFFER.set(buffer.clone()).unwrap();
    buffer.append(b"in the pipe\n");
    wait_until_in_pipe(&output);
    fill();
    for _ in 0..5 {
        buffer.append(LINE);
    }
    for _ in 0..3 {
        permit.send(Ok(usize::MAX)).unwrap();
    }
    buffer.flush(TIMEOUT);
    let written: Vec<u8> = output.try_iter().flatten().collect();
    let want = [b"in the pipe\n", &*LINE.repeat(2 * FIT), b"5 lost\n"].concat();
    assert_eq!(written.len(), want.len());
    assert!(written == want, "in their order");
}

#[test]
fn lines_that_cannot_be_written_are_reported_until_a_report_is_written() {
    static BUFFER: OnceLock<LogBuffer> = OnceLock::new();
    let (pipe, permit, output) = pipe();
    let report = |lines| {
        let buffer = BUFFER.get().unwrap();
        buffer.append(format!("{lines} lost\n").as_bytes());
    };
    let buffer = LogBuffer::start(pipe, report).unwrap();
    BUFFER.set(buffer.clone()).unwrap();
    let full = || Err(ErrorKind::StorageFull.into());
    buffer.append(b"one\ntwo\n");
    wait_until_in_pipe(&output);
    permit.send(full()).unwrap();
    // After it was written, the report of the first two is not.
    buffer.append(b"three\n");
    wait_until_in_pipe(&output);
    permit.send(Ok(usize::MAX)).unwrap();
    assert_eq!(output.recv_timeout(TIMEOUT).unwrap(), b"three\n");
    wait_until_in_pipe(&output);
    permit.send(full()).unwrap();
    buffer.append(b"four\n");
    for _ in 0..2 {
        permit.send(Ok(usize::MAX)).unwrap();
    }
    buffer.flush(TIMEOUT);
    let written: Vec<u8> = output.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap(), "four\n3 lost\n");
}

#[test]
fn a_flush_waits_for_no_report_that_cannot_be_written() {
    let (pipe, permit, _output) = pipe();
    let buffer = started(pipe);
    drop(permit);
    buffer.append(b"one\n");
    let started_at = Instant::now();
    buffer.flush(TIMEOUT);
    assert!(started_at.elapsed() < TIMEOUT);
    assert_eq!(buffer.0.lock().lost, 1);
}
