// What the page knows of the cluster, from the pictures that it got.

/** Seconds that the plots show. */
export const HISTORY_S = 180;

const EVENTS_MAX = 300;

export class State {
  constructor() {
    this.time = 0;
    this.own = "";
    this.job = null;
    /** Members as they were told, each with its `tail`; `before` is the status one picture ago. */
    this.members = [];
    this.events = [];
    /** One sample a second for the plots. */
    this.samples = [];
    /** Times at which another leader was seen. */
    this.elections = [];
    this.leaderBefore = null;
  }

  /** Takes a picture in. A whole one stands for itself, others bring only what is new. */
  take(picture, isWhole) {
    const known = new Map(this.members.map((member) => [member.address, member]));
    this.members = picture.members.map((member) => {
      const before = known.get(member.address);
      member.tail ??= before?.tail ?? [];
      member.before = before?.error ? null : before?.status ?? null;
      return member;
    });
    this.time = picture.time;
    this.own = picture.own;
    this.job = picture.job;
    this.events = (isWhole ? picture.events : this.events.concat(picture.events)).slice(-EVENTS_MAX);
    this.sample();
  }

  /** The member that leads: the one of the highest term, if several think so. */
  get leader() {
    const leads = (member) => !member.error && member.status?.role === "leader";
    const byTerm = (a, b) => b.status.term - a.status.term;
    return this.members.filter(leads).sort(byTerm)[0] ?? null;
  }

  /** The highest term that anybody told. */
  get term() {
    return this.highest("term");
  }

  /** The highest index that is known to be committed. */
  get commit() {
    return this.highest("commit_index");
  }

  get answering() {
    return this.members.filter((member) => member.status && !member.error);
  }

  /** The highest value of a figure among those that answer. */
  highest(figure) {
    return Math.max(0, ...this.answering.map((member) => member.status[figure]));
  }

  /** What a member is, in one word. */
  static role(member) {
    if (member.error) return "silent";
    if (!member.status) return "unknown";
    const role = member.status.role;
    return role === "follower" && !member.voter ? "learner" : role;
  }

  sample() {
    const leader = this.leader;
    if (leader && leader.address !== this.leaderBefore) {
      if (this.leaderBefore) this.elections.push(this.time);
      this.leaderBefore = leader.address;
    }
    const last = this.samples.at(-1);
    if (last && this.time - last.time < 1000) return;
    const seconds = last ? (this.time - last.time) / 1000 : 0;
    // After a gap the rate of the whole gap would be no answer for any of its seconds.
    const isGap = !last || seconds > 5 || !this.answering.length;
    this.samples.push({
      time: this.time,
      commit: this.commit,
      rate: isGap ? null : Math.max(0, this.commit - last.commit) / seconds,
      half: leader?.status.request_p50_us || null,
      most: leader?.status.request_p99_us || null,
    });
    const oldest = this.time - HISTORY_S * 1000;
    while (this.samples[0]?.time < oldest) this.samples.shift();
    while (this.elections[0] < oldest) this.elections.shift();
  }
}
