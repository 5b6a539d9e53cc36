//! A scripted client.

use examples::{Failure, patience};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Client {
    pub number: u32,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Comes in, and is told its number.
    pub fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            number: 0,
            stream: BufReader::new(stream),
        };
        let welcome = client.hear()?;
        let number = welcome.strip_prefix("* you are ").ok_or("no welcome")?;
        client.number = number.parse()?;
        Ok(client)
    }

    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        let line = format!("{text}\n");
        Ok(self.stream.get_mut().write_all(line.as_bytes())?)
    }

    /// The next line.
    pub fn hear(&mut self) -> Result<String, Failure> {
        let line = self.hear_if_connected()?;
        Ok(line.ok_or("the server has hung up")?)
    }

    /// The next line, or `None` when the server has hung up.
    pub fn hear_if_connected(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end_matches('\n').to_owned())),
            // So it ends if the server has not read all.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(format!("client {} hears nothing", self.number).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
