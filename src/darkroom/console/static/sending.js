// Sends requests, several at once and slower where the front door asks for that, and the picture that they begin with.

import { Refused, tell, Unreachable, upload } from "./api.js";
import { dataOf } from "./drop.js";

const AT_ONCE = 4;
const TRIES = 20;
const LONGEST_WAIT_SECONDS = 30; // what lets nobody in for longer is no matter of pace
const MOST_INLINE_BYTES = 4_000_000; // a request holds 6 MB, and base64 is a third longer

/** Sends all of them, and tells of each reply; raises what refused one, and sends no more then. */
export async function sendAll(requests, onReply) {
  const left = [...requests];
  const sender = async () => {
    while (left.length) {
      const request = left.shift();
      try {
        onReply(await sendOne(request));
      } catch (error) {
        left.length = 0;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, requests.length) }, sender));
  const failed = ends.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
}

async function sendOne(request) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await tell("submit", { body: request });
    } catch (error) {
      const isPace = error instanceof Refused && error.status === 429 && error.retryAfter <= LONGEST_WAIT_SECONDS;
      if (!isPace || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(error.retryAfter, 0.5) * (1 + Math.random())));
    }
  }
}

/** What stands for a picture in a request: a link, or where it is small and `inline` is allowed, the picture itself. */
export async function linkOf(picture, inline) {
  if (picture.link) return picture.link;
  if (picture.data && inline) return picture.data;
  try {
    picture.link = await upload(picture.file); // which stays good for the next one
    return picture.link;
  } catch (error) {
    if (inline && error instanceof Unreachable && picture.file.size <= MOST_INLINE_BYTES) return dataOf(picture.file);
    throw error;
  }
}
