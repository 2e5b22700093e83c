import { useState } from "react";
import { useVideoGeneration } from "@/hooks/use-video-generation";

interface CampaignClip {
  id: string;
  prompt: string;
  video: { raw_url?: string } | null;
}

const CLIP: CampaignClip = { id: "clip-1", prompt: "a lighthouse in the rain", video: null };

export function ClipCard() {
  const [clip, setClip] = useState(CLIP);
  const { generateVideoAsync, progress, isGenerating, error } = useVideoGeneration();

  const handleGenerate = async () => {
    try {
      const updated = await generateVideoAsync(clip, { prompt: clip.prompt, duration: 6, quality: "fast" });
      if (updated) setClip(updated);
    } catch {
      // `error` says why.
    }
  };

  return (
    <article>
      <button onClick={handleGenerate} disabled={isGenerating}>
        Generate
      </button>
      {isGenerating && <progress value={progress[clip.id]} max={100} />}
      {clip.video?.raw_url && <video src={clip.video.raw_url} controls />}
      {error && <p role="alert">{error}</p>}
    </article>
  );
}
