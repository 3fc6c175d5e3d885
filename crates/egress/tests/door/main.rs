//! The network door from outside: a test is a cell (a client of the door's sockets) and the Internet (a resolver, a
//! dialer and servers on loopback) at once. Nothing leaves this machine.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod dns;
#[cfg(test)]
mod http;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod people;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod services;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod world;
