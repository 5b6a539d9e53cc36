//! Publish and subscribe of the crate iceoryx2 between two processes, in place, with a copy in and a
//! copy out.

use std::path::Path as StdPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory as Service;

use crate::bytes::{HandOver, ReceiveBytes, SendBytes, TakeOver};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::shared::{ForkShared, Shared};
use crate::spin;

/// A service, by what it takes to find it.
pub struct Iceoryx2<const LENGTH: usize, const MESSAGES: usize> {
    config: Config,
    name: ServiceName,
    connected: Arc<Shared<Connected>>,
}

/// 1 when the receiver has connected to the sender: what is sent before may be lost.
#[derive(Default)]
struct Connected(AtomicU64);

// SAFETY: one atomic, no pointers.
unsafe impl ForkShared for Connected {}

/// What keeps a port alive.
struct Home {
    service: Service<ipc::Service, [u8], ()>,
    // Last, as the service belongs to it.
    _node: Node<ipc::Service>,
}

/// The sending end.
pub struct Publishing {
    publisher: Publisher<ipc::Service, [u8], ()>,
    connected: Arc<Shared<Connected>>,
    _home: Home,
}

/// The receiving end.
pub struct Subscribing {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    _home: Home,
}

impl<const LENGTH: usize, const MESSAGES: usize> Iceoryx2<LENGTH, MESSAGES> {
    fn home(&self) -> Result<Home, Failure> {
        let node = NodeBuilder::new()
            .config(&self.config)
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<ipc::Service>()
            .map_err(Failure::contender("create a node"))?;
        let service = node
            .service_builder(&self.name)
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size(MESSAGES)
            .subscriber_max_borrowed_samples(1)
            .max_publishers(1)
            .max_subscribers(1)
            .max_nodes(2)
            .open_or_create()
            .map_err(Failure::contender("open the service"))?;
        Ok(Home {
            service,
            _node: node,
        })
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for Iceoryx2<LENGTH, MESSAGES> {
    type Sender = Publishing;
    type Receiver = Subscribing;

    fn how() -> String {
        "loan_slice_uninit, write_from_slice and send, RetryUntilDelivered without overflow; receive, \
         tried again after 1 spin_loop while there is nothing, and copy_from_slice"
            .into()
    }

    fn create(scratch: &StdPath) -> Result<Self, Failure> {
        set_log_level(LogLevel::Error);
        let scratch = scratch.to_string_lossy();
        let name = scratch.rsplit('/').next().unwrap_or_default();
        let mut config = Config::default();
        let root = Path::new(scratch.as_bytes()).map_err(Failure::contender("name a directory"))?;
        config.global.set_root_path(&root);
        // What it has in /dev/shm is found by this if nobody is left to remove it.
        config.global.prefix =
            FileName::new(name.as_bytes()).map_err(Failure::contender("name files"))?;
        Ok(Self {
            config,
            name: service_name()?,
            connected: Arc::new(Shared::new()?),
        })
    }

    fn sender(&mut self) -> Result<Publishing, Failure> {
        let home = self.home()?;
        let publisher = home
            .service
            .publisher_builder()
            .initial_max_slice_len(LENGTH)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(Failure::contender("become the publisher"))?;
        Ok(Publishing {
            publisher,
            connected: Arc::clone(&self.connected),
            _home: home,
        })
    }

    fn receiver(&mut self) -> Result<Subscribing, Failure> {
        let home = self.home()?;
        let subscriber = home
            .service
            .subscriber_builder()
            .buffer_size(MESSAGES)
            .create()
            .map_err(Failure::contender("become the subscriber"))?;
        let services = home.service.dynamic_config();
        spin::until::<1, _>(|| (services.number_of_publishers() > 0).then_some(()));
        subscriber
            .update_connections()
            .map_err(Failure::contender("connect to the publisher"))?;
        self.connected.0.store(1, Ordering::Release);
        Ok(Subscribing {
            subscriber,
            _home: home,
        })
    }
}

/// One for each service of a measurement, made where they are all made: in the runner, before it forks.
fn service_name() -> Result<ServiceName, Failure> {
    static SERVICES: AtomicU64 = AtomicU64::new(0);
    let number = SERVICES.fetch_add(1, Ordering::Relaxed);
    ServiceName::new(&format!("bench {number}")).map_err(Failure::contender("name a service"))
}

impl Publishing {
    #[inline(always)]
    fn await_subscriber(&self) {
        spin::until::<1, _>(|| (self.connected.0.load(Ordering::Acquire) == 1).then_some(()));
    }
}

impl SendBytes for Publishing {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.await_subscriber();
        let sample = self
            .publisher
            .loan_slice_uninit(message.len())
            .map_err(Failure::contender("loan"))?;
        sample
            .write_from_slice(message)
            .send()
            .map(drop)
            .map_err(Failure::contender("send"))
    }
}

impl HandOver for Publishing {
    #[inline(always)]
    fn hand_over(&mut self, length: usize) -> Result<(), Failure> {
        self.await_subscriber();
        let sample = self
            .publisher
            .loan_slice_uninit(length)
            .map_err(Failure::contender("loan"))?;
        // SAFETY: the bytes are those of zeroed shared memory, or of earlier samples, and nobody reads
        // them.
        let sample = unsafe { sample.assume_init() };
        sample.send().map(drop).map_err(Failure::contender("send"))
    }
}

impl ReceiveBytes for Subscribing {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        let sample = spin::until::<1, _>(|| self.subscriber.receive().transpose())
            .map_err(Failure::contender("receive"))?;
        let message = sample.payload();
        into[..message.len()].copy_from_slice(message);
        Ok(message.len())
    }
}

impl TakeOver for Subscribing {
    #[inline(always)]
    fn take_over(&mut self) -> Result<usize, Failure> {
        let sample = spin::until::<1, _>(|| self.subscriber.receive().transpose())
            .map_err(Failure::contender("receive"))?;
        Ok(sample.payload().len())
    }
}
