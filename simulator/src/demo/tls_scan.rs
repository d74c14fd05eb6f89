//! Reads the records of one TLS connection (RFC 8446 §5.1) as somebody on the network does: without keys.

use super::http_scan::Direction;

/// Length of a record's header: content type, legacy version, length.
const HEADER: usize = 5;
/// `ServerHello` (RFC 8446 §4.1.3) inside the first handshake record.
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS_1_3: [u8; 2] = [3, 4];

/// What a connection turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Not enough was seen yet.
    #[default]
    Unknown,
    /// TLS 1.3, chosen by the server.
    Tls13,
    /// Something else, readable perhaps.
    Other,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub struct TlsScan {
    outward: Vec<u8>,
    protocol: Protocol,
}

impl TlsScan {
    /// What is known so far.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Takes the next bytes of one direction.
    pub fn push(&mut self, direction: Direction, bytes: &[u8]) -> Protocol {
        if direction == Direction::Response && self.protocol == Protocol::Unknown {
            self.outward.extend_from_slice(bytes);
            self.protocol = protocol(&self.outward);
        }
        self.protocol
    }
}

/// The protocol that the server's first record shows.
fn protocol(bytes: &[u8]) -> Protocol {
    let Some((&first, rest)) = bytes.split_first() else {
        return Protocol::Unknown;
    };
    if first != HANDSHAKE {
        return Protocol::Other;
    }
    let length = match rest.get(2..HEADER - 1) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Protocol::Unknown,
    };
    match rest.get(HEADER - 1..HEADER - 1 + length) {
        None => Protocol::Unknown,
        Some(hello) if chosen(hello) == Some(TLS_1_3) => Protocol::Tls13,
        Some(_) => Protocol::Other,
    }
}

/// The version in a ServerHello's `supported_versions` extension.
fn chosen(hello: &[u8]) -> Option<[u8; 2]> {
    let body = hello.strip_prefix(&[SERVER_HELLO])?.get(3 + 2 + 32..)?;
    let session = usize::from(*body.first()?);
    let mut extensions = body.get(1 + session + 2 + 1 + 2..)?;
    loop {
        let (head, rest) = extensions.split_at_checked(4)?;
        let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
        let (kind, length) = (number(head.get(..2)?)?, number(head.get(2..)?)?);
        let (content, after) = rest.split_at_checked(usize::from(length))?;
        if kind == SUPPORTED_VERSIONS {
            return content.try_into().ok();
        }
        extensions = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ServerHello with one extension.
    fn hello(extension: u16, version: [u8; 2]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0x13, 0x01, 0, 0, 6]);
        body.extend(extension.to_be_bytes());
        body.extend([0, 2]);
        body.extend(version);
        let mut message = vec![SERVER_HELLO, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut record = vec![HANDSHAKE, 3, 3, 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        record
    }

    #[test]
    fn a_server_that_chose_tls_1_3_is_told_from_tls_1_2_and_plain_http() {
        for step in [1, 7, 1000] {
            let scan = |bytes: &[u8]| {
                let mut scan = TlsScan::default();
                let mut last = Protocol::Unknown;
                for part in bytes.chunks(step) {
                    last = scan.push(Direction::Response, part);
                }
                last
            };
            assert_eq!(scan(&hello(SUPPORTED_VERSIONS, TLS_1_3)), Protocol::Tls13);
            assert_eq!(scan(&hello(SUPPORTED_VERSIONS, [3, 3])), Protocol::Other);
            assert_eq!(scan(&hello(23, TLS_1_3)), Protocol::Other, "TLS 1.2");
            assert_eq!(scan(b"HTTP/1.1 200 OK\r\n"), Protocol::Other);
        }
    }
}
