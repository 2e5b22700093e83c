/** In place of the server action that submitted to fal: the same input for Reelay, whose answer is the node's. */

import { Refused, request } from "reelay-client";

export interface VideoInput {
  modelId: string;
  prompt: string;
  images: string[];
  duration: number;
  aspectRatio: string;
  nodeId: string;
  projectId: string;
}

interface Pending {
  nodeData: { status: "pending"; requestId: string; updatedAt: string };
}

export async function generateVideoAction(input: VideoInput): Promise<Pending | { error: string }> {
  try {
    return await request("/api/jobs", { method: "POST", body: input });
  } catch (error) {
    if (error instanceof Refused) return { error: error.message };
    throw error;
  }
}
