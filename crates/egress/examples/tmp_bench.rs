use std::io::{Read, Write};
use std::net::*;
use std::sync::Arc;
use std::time::Instant;
use nanoclaw_egress::*;
struct D(SocketAddr);
impl Dialer for D { fn dial(&self, _: SocketAddr) -> Pending<'_, std::io::Result<tokio::net::TcpStream>> { Box::pin(tokio::net::TcpStream::connect(self.0)) } }
impl Resolver for D { fn resolve<'a>(&'a self, _: &'a nanoclaw_request::DnsName) -> Pending<'a, std::io::Result<Vec<IpAddr>>> { Box::pin(async { Ok(vec!["1.1.1.1".parse().unwrap()]) }) } }
fn orig(_: std::os::fd::BorrowedFd<'_>) -> std::io::Result<SocketAddr> { Ok("127.0.0.1:8080".parse().unwrap()) }
fn run(addr: SocketAddr, n: usize) -> f64 {
    let mut s = TcpStream::connect(addr).unwrap();
    let buf = vec![7u8; 128 * 1024];
    let t = Instant::now();
    let mut left = n;
    while left > 0 { let k = left.min(buf.len()); s.write_all(&buf[..k]).unwrap(); left -= k; }
    s.shutdown(Shutdown::Write).unwrap();
    let mut v = Vec::new(); s.read_to_end(&mut v).unwrap();
    n as f64 * 8.0 / t.elapsed().as_secs_f64() / 1e9
}
fn rtt(addr: SocketAddr) -> (f64, f64) {
    let t = Instant::now();
    for _ in 0..300 { let mut s = TcpStream::connect(addr).unwrap(); s.write_all(b"x").unwrap(); let mut b=[0]; s.read_exact(&mut b).unwrap(); }
    let c = t.elapsed().as_secs_f64() / 300.0 * 1e6;
    let mut s = TcpStream::connect(addr).unwrap(); s.set_nodelay(true).unwrap();
    let t = Instant::now();
    for _ in 0..5000 { s.write_all(b"x").unwrap(); let mut b=[0]; s.read_exact(&mut b).unwrap(); }
    (c, t.elapsed().as_secs_f64() / 5000.0 * 1e6)
}
fn main() {
    let l = TcpListener::bind("127.0.0.1:0").unwrap(); let sink = l.local_addr().unwrap();
    std::thread::spawn(move || for s in l.incoming() { std::thread::spawn(move || { let mut s = s.unwrap(); let mut b = vec![0; 128*1024]; while s.read(&mut b).unwrap() > 0 {} s.write_all(b"k").unwrap(); }); });
    let l = TcpListener::bind("127.0.0.1:0").unwrap(); let echo = l.local_addr().unwrap();
    std::thread::spawn(move || for s in l.incoming() { std::thread::spawn(move || { let mut s = s.unwrap(); s.set_nodelay(true).unwrap(); let mut b = vec![0; 1024]; loop { match s.read(&mut b) { Ok(0)|Err(_) => return, Ok(n) => { if s.write_all(&b[..n]).is_err() { return } } } } }); });
    let door = |to: SocketAddr, pipes: usize| {
        let d = TcpListener::bind("127.0.0.1:0").unwrap(); d.set_nonblocking(true).unwrap(); let at = d.local_addr().unwrap();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let dir = tempfile::tempdir().unwrap();
                let rec = nanoclaw_audit::Recorder::open(nanoclaw_audit::Options::new(dir.path().to_owned())).unwrap();
                let id = nanoclaw_request::CellId::parse("a").unwrap();
                let rule = nanoclaw_config::NetRule { id: "r".into(), text: "r".into(), target: nanoclaw_config::NetTarget::HostService { address: "127.0.0.1:8080".parse().unwrap() } };
                let o = Outside { resolver: Arc::new(D(to)), dialer: Arc::new(D(to)) };
                let door = Door::new(nanoclaw_identity::CellSockets::of(id.clone(), nanoclaw_request::SessionId::from_random([0;16])), Arc::new(nanoclaw_policy::Engine::new(id, vec![rule])), rec, o, DoorLimits { pipes, ..Default::default() });
                door.serve(DoorSockets { tcp: vec![d], proxy: vec![], dns: vec![], original_destination: orig }).await.unwrap();
            });
        });
        at
    };
    let (sp, cp, ec) = (door(sink, 32), door(sink, 0), door(echo, 32));
    for _ in 0..3 {
        println!("direct {:.1} splice {:.1} copy {:.1} Gbit/s", run(sink, 2<<30), run(sp, 2<<30), run(cp, 2<<30));
    }
    println!("direct connect+rtt, rtt us {:?}; door {:?}", rtt(echo), rtt(ec));
}
