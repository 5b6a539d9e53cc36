//! What an operation does, instruction by instruction.

use crate::marker;
use crate::tracee::Tracee;
use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, Register};
use std::collections::HashMap;
use std::ops::Range;

/// What an instruction is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that others could see.
    Private,
    /// An access to the segment, reading or writing.
    Access,
    /// A system call.
    Call,
}

/// One instruction of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where it is.
    pub address: u64,
    /// The how-manieth time it is executed, from 1.
    pub nth: u64,
    /// The stack pointer: another one shows that the operation went another way.
    pub stack: u64,
    /// What it does.
    pub effect: Effect,
}

/// An operation's instructions in order.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// All of them. A victim killed before step i has done i instructions.
    pub steps: Vec<Step>,
}

/// Longer operations are mistakes of a scene: they wait for somebody.
const MOST: usize = 2_000_000;

impl Trace {
    /// Steps through the victim's operation. `file` is what the names of the files that are
    /// segments contain.
    ///
    /// # Errors
    /// What else the victim came to.
    pub fn record(victim: &Tracee, file: &str) -> Result<Self, String> {
        let mut trace = Self::default();
        let mut visits = HashMap::new();
        let mut segments = Segments::of(victim.id(), file);
        let mut factory = InstructionInfoFactory::new();
        let end = marker::end_address();
        let mut before = None;
        loop {
            let registers = victim.registers();
            let address = registers.rip;
            if address == end {
                return Ok(trace);
            }
            let instruction = decode(address);
            // A repeated string instruction traps after each round of it.
            let is_round = before == Some(address)
                && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
            if !is_round {
                let visits: &mut u64 = visits.entry(address).or_default();
                *visits += 1;
                let effect = if instruction.mnemonic() == Mnemonic::Syscall {
                    Effect::Call
                } else if segments.are_accessed(&mut factory, &instruction, &registers) {
                    Effect::Access
                } else {
                    Effect::Private
                };
                trace.steps.push(Step {
                    address,
                    nth: *visits,
                    stack: registers.rsp,
                    effect,
                });
            }
            if trace.steps.len() > MOST {
                return Err(format!("the operation has more than {MOST} instructions"));
            }
            before = Some(address);
            victim.step()?;
            if instruction.mnemonic() == Mnemonic::Syscall {
                segments = Segments::of(victim.id(), file);
            }
        }
    }

    /// How many instructions.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The instruction at an address of this process, which the victim is a fork of.
fn decode(address: u64) -> Instruction {
    const LONGEST: usize = 15;
    let at: *const [u8; LONGEST] = std::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the victim executes what lies there, in memory that both have since the fork: text of
    // the program, its libraries or the vdso, which are never written, and end with padding.
    let bytes = unsafe { at.read_unaligned() };
    Decoder::with_ip(64, &bytes, address, DecoderOptions::NONE).decode()
}

struct Segments(Vec<Range<u64>>);

impl Segments {
    /// The mappings of files whose name contains `file`.
    fn of(pid: i32, file: &str) -> Self {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("a child");
        let lines = maps.lines().filter(|line| line.contains(file));
        let ranges = lines.filter_map(|line| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            Some(number(start)?..number(end)?)
        });
        Self(ranges.collect())
    }

    fn are_accessed(
        &self,
        factory: &mut InstructionInfoFactory,
        instruction: &Instruction,
        registers: &libc::user_regs_struct,
    ) -> bool {
        let value = |register, _, _| value(register, registers);
        let info = factory.info(instruction);
        info.used_memory().iter().any(|memory| {
            let address = memory.virtual_address(0, value);
            address.is_some_and(|it| self.0.iter().any(|range| range.contains(&it)))
        })
    }
}

fn value(register: Register, all: &libc::user_regs_struct) -> Option<u64> {
    let whole = match register.full_register() {
        Register::RAX => all.rax,
        Register::RBX => all.rbx,
        Register::RCX => all.rcx,
        Register::RDX => all.rdx,
        Register::RSI => all.rsi,
        Register::RDI => all.rdi,
        Register::RBP => all.rbp,
        Register::RSP => all.rsp,
        Register::R8 => all.r8,
        Register::R9 => all.r9,
        Register::R10 => all.r10,
        Register::R11 => all.r11,
        Register::R12 => all.r12,
        Register::R13 => all.r13,
        Register::R14 => all.r14,
        Register::R15 => all.r15,
        Register::FS => return Some(all.fs_base),
        Register::GS => return Some(all.gs_base),
        // The other segments begin at 0.
        _ => return Some(0),
    };
    Some(match register.size() {
        8 => whole,
        4 => whole & 0xFFFF_FFFF,
        _ => return None,
    })
}
