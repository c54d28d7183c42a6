//! A frame on its way to the socket. A long one is sent in fragments, which the client's WebSocket joins again.
//!
//! The socket copies each message into its buffer, and removes what was written from the front of it. If a client reads
//! slowly, the buffer holds one fragment and not a whole state.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as SocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::proto::Frame;

/// The most bytes of a fragment: as many as a record of TLS has.
const FRAGMENT: usize = 16 << 10;

/// The part of a frame that the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    pieces: [Bytes; 3],
    is_begun: bool,
    is_binary: bool,
}

impl Fragments {
    pub(super) fn of(frame: Frame) -> Self {
        let is_binary = frame.is_binary();
        Self { pieces: frame.into_pieces(), is_begun: false, is_binary }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }
}

impl Iterator for Fragments {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let piece = self.pieces.iter_mut().find(|piece| !piece.is_empty())?;
        let part = piece.split_to(piece.len().min(FRAGMENT));
        let data = match (std::mem::replace(&mut self.is_begun, true), self.is_binary) {
            (true, _) => Data::Continue,
            (false, true) => Data::Binary,
            // A text frame is made from `String`s, so it is UTF-8 and need not be checked.
            (false, false) => Data::Text,
        };
        Some(Message::Frame(SocketFrame::message(part, OpCode::Data(data), self.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(frame: &Frame) -> Vec<(OpCode, bool, usize)> {
        let mut bytes = Vec::new();
        let sent = Fragments::of(frame.clone()).map(|message| match message {
            Message::Frame(fragment) => {
                bytes.extend_from_slice(fragment.payload());
                let header = fragment.header();
                (header.opcode, header.is_final, fragment.payload().len())
            }
            other => panic!("{other:?}"),
        });
        let sent = sent.collect();
        assert!(bytes == frame.as_bytes());
        sent
    }

    #[test]
    fn a_long_frame_is_sent_in_fragments() {
        let (text, more) = (OpCode::Data(Data::Text), OpCode::Data(Data::Continue));
        assert_eq!(sent(&Frame::from("{}".to_owned())), [(text, true, 2)]);
        assert_eq!(sent(&Frame::from("x".repeat(FRAGMENT))), [(text, true, FRAGMENT)]);
        let two = [(text, false, FRAGMENT), (more, true, 1)];
        assert_eq!(sent(&Frame::from("x".repeat(FRAGMENT + 1))), two);
        let inside = "x".repeat(2 * FRAGMENT).into();
        let shared = Frame::with_inside("[]".to_owned(), 1, &inside);
        let parts = [(text, false, 1), (more, false, FRAGMENT), (more, false, FRAGMENT), (more, true, 1)];
        assert_eq!(sent(&shared), parts);
        let binary = OpCode::Data(Data::Binary);
        assert_eq!(sent(&Frame::binary(vec![1; 3])), [(binary, true, 3)]);
    }
}
