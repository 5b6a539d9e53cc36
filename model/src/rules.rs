//! The rules of the protocol that the checks can be shown to need: a world without any one of them
//! must be caught.

/// One rule, by where it is in the queue's table of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// V1: before the first void over a pending claim.
    BarrierBeforeVoid,
    /// P3 after P2.
    WordAfterClaim,
    /// *Pending* holds for a word of any lap up to the claim's.
    PendingByAnyEarlierLap,
    /// P5.
    LookAtTheEndAfterClaiming,
    /// P7.
    SecondLookAtTheClaim,
    /// P2.
    RevokedClaimsStay,
    /// P16, P17.
    SenderSettlesWhatWasTaken,
    /// P18.
    SenderLooksWhoHasIt,
    /// P20.
    SenderLooksWhoWasRejected,
    /// P11.
    AnnounceLateCommits,
    /// P12.
    PassedOutlivesTheName,
    /// P12 at all.
    NameGoesAfterBeingPassed,
    /// P13, of a claim that was given up.
    GivenUpIsVoid,
    /// P14.
    SecondLookBeforeFull,
    /// P3, P15: a slot whose message was given back is as one that was passed.
    GivenBackIsOvertaken,
    /// V3.
    VoidKeepsTheWriter,
    /// C1: with a position that is adopted.
    SeenTravelsWithThePosition,
    /// C1: and with no other.
    SeenIsPrivate,
    /// C3, after each word.
    LateAfterEachWord,
    /// C3, and C9.
    ScanForLate,
    /// C4.
    CursorWaitsForItsOwnLap,
    /// C2, C5: who jumps does not know what is late.
    JumpForgets,
    /// A1.
    ReceiverLooksAtTheEnd,
    /// A2, A3: also of a claim that names nobody any more.
    NamelessRevokedAreSettled,
    /// A3.
    ReceiverSettlesWhatItAccepts,
    /// A5.
    RejectionIsMarked,
    /// C5.
    SecondLookBeforeWalkingOn,
    /// C6.
    BarrierBeforePassing,
    /// C6, where the mark is there already.
    TrustsNobodysPassed,
    /// C6, after the barrier.
    SecondLookBeforePassing,
    /// C8.
    ForgottenIsNotPublished,
    /// C9: what lies before the cursor is not late.
    ScanStopsAtTheCursor,
    /// C9: of several.
    ScanTakesTheOldest,
    /// E2.
    EndWaitsForReaders,
    /// E3.
    EndRevokesThePending,
    /// E4.
    BarrierBeforeTheEnd,
    /// E5.
    SecondLookBeforeTheEnd,
    /// E6.
    EndCountsWhatWasSettled,
    /// S1, S4.
    SweepChecksTheTicket,
    /// S3.
    SweepMakesThePendingVoid,
    /// S5.
    RedeliveriesAreCounted,
    /// S6.
    SweepAnnounces,
    /// B2: of blocks.
    OverReadsTheWordLast,
    /// B2.
    OverSparesWriters,
    /// B2: whose claim was made void for a later lap.
    OverSparesTheOvertaken,
}

impl Rule {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::BarrierBeforeVoid,
        Self::WordAfterClaim,
        Self::PendingByAnyEarlierLap,
        Self::LookAtTheEndAfterClaiming,
        Self::SecondLookAtTheClaim,
        Self::RevokedClaimsStay,
        Self::SenderSettlesWhatWasTaken,
        Self::SenderLooksWhoHasIt,
        Self::SenderLooksWhoWasRejected,
        Self::AnnounceLateCommits,
        Self::PassedOutlivesTheName,
        Self::NameGoesAfterBeingPassed,
        Self::GivenUpIsVoid,
        Self::SecondLookBeforeFull,
        Self::GivenBackIsOvertaken,
        Self::VoidKeepsTheWriter,
        Self::SeenTravelsWithThePosition,
        Self::SeenIsPrivate,
        Self::LateAfterEachWord,
        Self::ScanForLate,
        Self::CursorWaitsForItsOwnLap,
        Self::JumpForgets,
        Self::ReceiverLooksAtTheEnd,
        Self::NamelessRevokedAreSettled,
        Self::ReceiverSettlesWhatItAccepts,
        Self::RejectionIsMarked,
        Self::SecondLookBeforeWalkingOn,
        Self::BarrierBeforePassing,
        Self::TrustsNobodysPassed,
        Self::SecondLookBeforePassing,
        Self::ForgottenIsNotPublished,
        Self::ScanStopsAtTheCursor,
        Self::ScanTakesTheOldest,
        Self::EndWaitsForReaders,
        Self::EndRevokesThePending,
        Self::BarrierBeforeTheEnd,
        Self::SecondLookBeforeTheEnd,
        Self::EndCountsWhatWasSettled,
        Self::SweepChecksTheTicket,
        Self::SweepMakesThePendingVoid,
        Self::RedeliveriesAreCounted,
        Self::SweepAnnounces,
        Self::OverReadsTheWordLast,
        Self::OverSparesWriters,
        Self::OverSparesTheOvertaken,
    ];
}
