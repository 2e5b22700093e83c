'use client';

import { useState } from 'react';
import { useFalJob } from '@/hooks/use-fal-job';
import { generateVideoAction } from '@/app/actions/video/create';

export function VideoGenerator() {
    const [requestId, setRequestId] = useState<string | null>(null);

    const { job, isPolling, isCompleted, error } = useFalJob({
        requestId,
        onCompleted: (job) => {
            const result = job.result as { video: { url: string } };
            console.log('Video ready:', result.video.url);
            // Atualizar node com URL do vídeo
        },
        onFailed: (error) => {
            console.error('Failed:', error);
            // Mostrar erro para usuário
        },
    });

    const handleGenerate = async () => {
        const result = await generateVideoAction({
            modelId: 'fal-ai/kling-video/v2.5-turbo/pro/text-to-video',
            prompt: 'A cat playing piano',
            images: [],
            duration: 5,
            aspectRatio: '16:9',
            nodeId: 'node-123',
            projectId: 'project-456',
        });

        if ('error' in result) {
            console.error(result.error);
            return;
        }

        // Check if pending
        if ('status' in result.nodeData && result.nodeData.status === 'pending') {
            setRequestId(result.nodeData.requestId);
            console.log('Job submitted, polling started');
        }
    };

    return (
        <div>
            <button onClick={handleGenerate} disabled={isPolling}>
                {isPolling ? 'Generating...' : 'Generate Video'}
            </button>

            {isPolling && (
                <div>
                    <p>Status: {job?.status || 'pending'}</p>
                    <p>Polling... (this may take 3-6 minutes)</p>
                </div>
            )}

            {isCompleted && (
                <div>
                    <p>✅ Video ready!</p>
                    <video src={(job?.result as any)?.video?.url} controls />
                </div>
            )}

            {error && (
                <div>
                    <p>❌ Error: {error}</p>
                </div>
            )}
        </div>
    );
}
