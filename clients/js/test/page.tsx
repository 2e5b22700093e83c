/** Mounts the component that the address names, in StrictMode, beside a button that unmounts it. */

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { configureReelay } from "reelay-client/react";
import { ClipCard } from "@/components/clip-card";
import { Probe } from "@/components/probe";
import { VideoGenerator } from "@/components/video-generator";

const COMPONENTS = { ClipCard, Probe, VideoGenerator };

function Page() {
  const [isShown, setShown] = useState(true);
  const Component = COMPONENTS[location.hash.slice(1) as keyof typeof COMPONENTS];
  return (
    <>
      <button onClick={() => setShown(false)}>Leave</button>
      {isShown && <Component />}
    </>
  );
}

configureReelay(JSON.parse(sessionStorage.getItem("connection") ?? "{}"));
createRoot(document.querySelector("main")!).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
