//! Shared by the benchmarks: WebSocket frames without a WebSocket library, whose cost would be measured too,
//! and the CPU time of other processes.

use std::io::{Error, Result};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Sends a text frame with a mask of zeros; returns its length in bytes.
///
/// # Errors
/// The stream failed, or the text has more than 65,535 bytes.
pub async fn send_bare(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Result<u64> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(text.len()).map_err(Error::other)?.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).await?;
    Ok(frame.len() as u64)
}

/// Splits a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct BareFrames {
    rest: Vec<u8>,
}

impl BareFrames {
    /// Reads once and passes the payloads of complete frames to `each`.
    ///
    /// # Errors
    /// The stream failed or has ended.
    pub async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        mut each: impl FnMut(&[u8]),
    ) -> Result<()> {
        if stream.read_buf(&mut self.rest).await? == 0 {
            return Err(Error::other("the server closed the connection"));
        }
        let mut at = 0;
        while let Some([_, length]) = self.rest.get(at..at + 2) {
            let (head, length) = match length {
                127 => match self.rest.get(at + 2..at + 10).and_then(|bytes| bytes.try_into().ok()) {
                    Some(bytes) => (10, usize::try_from(u64::from_be_bytes(bytes)).map_err(Error::other)?),
                    None => break,
                },
                126 => match self.rest.get(at + 2..at + 4) {
                    Some([high, low]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                    _ => break,
                },
                length => (2, usize::from(*length)),
            };
            let Some(frame) = self.rest.get(at + head..at + head + length) else { break };
            each(frame);
            at += head + length;
        }
        self.rest.drain(..at);
        Ok(())
    }
}

/// The CPU time of all threads of a process so far.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}
